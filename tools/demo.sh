#!/bin/sh
# `make demo`: whole nights over the real Windows sample, with the commands a user would type.
set -eu
cd "$(dirname "$0")/.."

shoal() {
    printf '\n$ shoal %s\n' "$*"
    .venv/bin/shoal "$@"
}

shoal tables apply --conf conf/demo.yaml
shoal nightly --conf conf/demo.yaml --start 2020-09-01 --end 2020-09-30
shoal outliers --conf conf/demo.yaml

cat <<'END'

The tables lie in warehouse/demo/, plain Delta for any reader. Look further with
  .venv/bin/shoal explain NAME --conf conf/demo.yaml     one entity, from stored rows
  .venv/bin/shoal outliers --conf conf/demo.yaml --date 2020-09-04 --format json
END
