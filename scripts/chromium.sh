#!/usr/bin/env bash
# Installs Chromium, which the browser tests of report.py's page need, if missing (Debian, Ubuntu).
set -euo pipefail
if command -v chromedriver >/dev/null && command -v chromium >/dev/null; then exit 0; fi
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
"${as_root[@]}" apt-get update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y --no-install-recommends chromium chromium-driver
