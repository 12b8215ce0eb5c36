#!/usr/bin/env bash
# Measures the toolkit on a GPU machine, without network, within 9 minutes; called again with the same
# --json it goes on. See --help.
# usage: benchmarks/gpu.sh [--wheels DIR] [--json FILE] [--seconds 520] [--device cpu] [--quick]
set -euo pipefail
here=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
source "$here/scripts/wrapper_settings.sh"
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH} PYTHONDONTWRITEBYTECODE=1
exec "$py" "$here/benchmarks/gpu.py" "$@"
