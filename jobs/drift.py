"""spark-submit entry point of `shoal drift`."""

import sys

from shoal.cli import main

if __name__ == "__main__":
    sys.exit(main(["drift", *sys.argv[1:]]))
