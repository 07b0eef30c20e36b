#!/bin/sh
# Finds a Python that Shoal runs on and hands over to setup.py. `make setup` calls this.
set -eu
here=$(dirname "$0")
for python in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11 python3.14; do
    # Tried, not looked up: a name on PATH may be a shim with nothing behind it.
    if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null; then
        exec "$python" "$here/setup.py" "$@"
    fi
done
echo "setup: no Python from 3.11 to 3.14 found; install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: make setup PYTHON=/path/to/python3" >&2
exit 1
