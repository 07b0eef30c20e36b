#!/bin/sh
# `make demo`: whole nights on sample data, from raw logs to the list and the report.
set -eu
cd "$(dirname "$0")/.."
exec .venv/bin/shoal nightly --conf conf/demo.yaml "$@"
