"""spark-submit entry point of `shoal report`."""

import sys

from shoal.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
