#!/usr/bin/env bash
# Trains the seven architectures, continuing if one fails: one after another, or, where there are
# several GPUs and no --device, one on each GPU at a time. CUDA_VISIBLE_DEVICES chooses the GPUs.
# usage: ./run_all.sh [settings for all seven, such as --epochs 50 or --resume]
# Prints a table at the end. Exit code: 0, or that of the first failure; 129, 130 or 143 after a signal.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
device_given=''
for argument in "$@"; do
  case ${argument%%=*} in
    --output[_-]dir | --base[_-]models | --log[_-]file)
      echo "error: ${argument%%=*} is set per architecture. Omit it;" \
        "DR_OVO_OUTPUT_ROOT moves all seven folders (see .env.example)." >&2
      exit 2 ;;
    --device | --config) device_given=yes ;; # a settings file may name a device
  esac
done

gpus=()
device=${DR_OVO_DEVICE:-$(grep -s '^\(export \)*DR_OVO_DEVICE=' .env || true)}
if [ -z "$device_given" ] && [[ ${device:-auto} =~ ^([^=]*=)?[\'\"]?auto ]]; then
  if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
    IFS=, read -r -a gpus <<<"$CUDA_VISIBLE_DEVICES"
  else
    mapfile -t gpus < <(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null |
      grep -x '[0-9]\+')
  fi
fi
[ ${#gpus[@]} -gt 1 ] || gpus=('')  # one place, on whatever the trainer chooses

stopped=0
declare -A pids=() started=() place=() codes=() minutes=()
stop() { # signal, exit code: the running trainings shut down, and no other starts
  stopped=$2
  for name in "${!pids[@]}"; do kill -s "$1" "${pids[$name]}" 2>/dev/null || true; done
}
trap 'stop HUP 129' HUP
trap 'stop INT 130' INT
trap 'stop TERM 143' TERM

start() { # architecture, place
  started[$1]=$SECONDS place[$1]=$2
  set -m # else bash starts the training with Ctrl-C ignored
  if [ -z "${gpus[$2]}" ]; then
    echo "== $1"
    "$here/train_$1.sh" "${@:3}" &
  else
    echo "== $1 on GPU ${gpus[$2]}"
    CUDA_VISIBLE_DEVICES=${gpus[$2]} "$here/train_$1.sh" "${@:3}" > >(trap '' INT HUP; exec sed -u "s/^/$1: /") 2>&1 &
  fi
  pids[$1]=$!
  set +m # else Ctrl-C would reach the sleeping below, and not this script
  [ "$stopped" = 0 ] || kill -s TERM "$!" 2>/dev/null || true
}

end_what_ended() { # frees the places of trainings that have ended
  local name
  for name in "${!pids[@]}"; do
    ! kill -0 "${pids[$name]}" 2>/dev/null || continue
    codes[$name]=0
    wait "${pids[$name]}" || codes[$name]=$?
    minutes[$name]=$(((SECONDS - started[$name] + 30) / 60))
    free+=("${place[$name]}")
    unset "pids[$name]"
  done
}

names=(coatnet convnext swinv2 densenet efficientnet resnet seresnext)
free=("${!gpus[@]}")
for name in "${names[@]}"; do
  while [ ${#free[@]} = 0 ]; do
    sleep 0.2 || true # which Ctrl-C ends, too
    end_what_ended
  done
  [ "$stopped" = 0 ] || break
  start "$name" "${free[0]}" "$@"
  free=("${free[@]:1}")
done
while [ ${#pids[@]} != 0 ]; do
  sleep 0.2 || true
  end_what_ended
done

first_failure=0
printf '\n%-14s %-12s %8s  %s\n' architecture 'exit code' minutes log
for name in "${names[@]}"; do
  if [ -z "${codes[$name]:-}" ]; then
    printf '%-14s %-12s\n' "$name" 'not started'
    continue
  fi
  [ "$first_failure" != 0 ] || first_failure=${codes[$name]}
  printf '%-14s %-12s %8s  %s\n' "$name" "${codes[$name]}" "${minutes[$name]}" \
    "${name}_training_log.txt"
done
[ "$stopped" = 0 ] || exit "$stopped"
exit "$first_failure"
