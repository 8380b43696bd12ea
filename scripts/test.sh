#!/usr/bin/env bash
# Runs the tests in two processes; arguments go to pytest: scripts/test.sh -n 0 tests/data
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
exec .venv/bin/python -m pytest -n 2 "$@"
