"""spark-submit entry point of `shoal ingest`."""

import sys

from shoal.cli import main

if __name__ == "__main__":
    sys.exit(main(["ingest", *sys.argv[1:]]))
