"""spark-submit entry point of `shoal features`."""

import sys

from shoal.cli import main

if __name__ == "__main__":
    sys.exit(main(["features", *sys.argv[1:]]))
