# Sourced by quickstart.sh and run_tests.sh, whose folder is `here`: makes a virtual environment
# with this project in it once, and keeps it while its dependencies stay the same.

fail() { # message, exit code
  echo "error: $1" >&2
  exit "$2"
}

find_python() { # prints the first Python from 3.10 on
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail "Python 3.10 or newer is needed; python3 here is $(python3 --version 2>&1 || true).
Install one (Ubuntu: apt install python3.11 python3.11-venv) or name it: PYTHON=/path/to/python $0" 2
}

# Which torch suits the GPU: `cu126` or `default`. Builds for CUDA 13 run neither on cards below
# compute capability 7.5 nor under drivers before 580; those for 12.6 not on cards from 10.0 on.
torch_build() {
  nvidia-smi --query-gpu=compute_cap,driver_version --format=csv,noheader 2>/dev/null |
    awk -F', *' '
      $1 ~ /^[0-9]+\.[0-9]+$/ && ($1 < 7.5 || ($1 < 10 && $2 != "" && $2 + 0 < 580)) { old = 1 }
      END { print old ? "cu126" : "default" }'
}

create_environment() { # folder: with the machine's own torch where that one sees a GPU
  local venv=$1 python
  python=$(find_python)
  "$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python cannot make virtual environments. Install its venv module (Ubuntu: apt install python3-venv)." 2
  "$python" -m venv --system-site-packages --without-pip "$venv"
  if PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH} \
    "$venv/bin/python" "$here/scripts/machine_torch.py" >"$venv/constraints.txt" 2>/dev/null; then
    echo "Using this machine's own" $(cat "$venv/constraints.txt")
    "$python" -m venv --system-site-packages "$venv"
  else
    : >"$venv/constraints.txt"
    "$python" -m venv "$venv"
  fi
}

install_project() { # folder, extra ('' or '[dev]')
  local venv=$1 pip=("$1/bin/python" -m pip install --disable-pip-version-check)
  [ -t 1 ] || pip+=(--quiet)
  [ ! -s "$venv/constraints.txt" ] || pip+=(--constraint "$venv/constraints.txt")
  if [ ! -s "$venv/constraints.txt" ] && [ "$(torch_build)" = cu126 ]; then
    echo "Installing torch for CUDA 12.6, for this GPU and driver"
    "${pip[@]}" 'torch>=2.11,<2.14' 'torchvision>=0.26,<0.29' \
      --index-url https://download.pytorch.org/whl/cu126 || return
  fi
  # Editable: `dr_ovo` and `python -m dr_ovo` work from every folder, on this checkout's code.
  "${pip[@]}" --editable "$here$2"
}

# Where torchvision can't be imported beside this torch, a .pth file fixes it in every process of
# the environment (with a copy of the module: the package itself stays unimported).
fix_torchvision() { # folder
  local python=$1/bin/python site
  site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  rm -f "$site/dr_ovo.pth" "$site/dr_ovo_torchvision.pth" # also those of earlier versions
  "$python" -c 'import torchvision' 2>/dev/null && return
  cp "$here/dr_ovo/torchvision_compat.py" "$site/dr_ovo_torchvision.py"
  echo 'import dr_ovo_torchvision; dr_ovo_torchvision.fix_on_import()' \
    >"$site/dr_ovo_torchvision.pth"
}

prepare_environment() { # folder, extra ('' or '[dev]')
  local venv=$1 wanted
  wanted=$here$2$'\n'$(cat "$here/pyproject.toml")
  [ "$wanted" != "$(cat "$venv/ready" 2>/dev/null)" ] || return 0
  echo "Setting up $venv"
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 || create_environment "$venv"
  "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$venv has $("$venv/bin/python" --version); 3.10 or newer is needed. Remove that folder." 2
  install_project "$venv" "$2" ||
    fail "The install into $venv failed, see above. Free disk space or fix the network; run again." 4
  fix_torchvision "$venv"
  echo "$wanted" >"$venv/ready"
}
