"""spark-submit entry point of `shoal publish`."""

import sys

from shoal.cli import main

if __name__ == "__main__":
    sys.exit(main(["publish", *sys.argv[1:]]))
