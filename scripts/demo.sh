#!/usr/bin/env bash
# Runs the whole method in miniature; arguments go to the example: scripts/demo.sh --full
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
exec bash examples/mini/run.sh "$@"
