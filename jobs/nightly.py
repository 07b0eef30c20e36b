"""spark-submit entry point of `shoal nightly`."""

import sys

from shoal.cli import main

if __name__ == "__main__":
    sys.exit(main(["nightly", *sys.argv[1:]]))
