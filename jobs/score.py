"""spark-submit entry point of `shoal score`."""

import sys

from shoal.cli import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:]]))
