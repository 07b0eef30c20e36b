"""spark-submit entry point of `shoal fit`."""

import sys

from shoal.cli import main

if __name__ == "__main__":
    sys.exit(main(["fit", *sys.argv[1:]]))
