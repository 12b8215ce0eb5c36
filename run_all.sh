#!/usr/bin/env bash
# Trains the seven architectures one after another, continuing if one fails.
# usage: ./run_all.sh [settings for all seven, such as --epochs 50 or --resume]
# Prints a table at the end. Exit code: 0, or that of the first failure; 129, 130 or 143 after a signal.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
set -m  # else bash starts the trainings with Ctrl-C ignored

for argument in "$@"; do
  case ${argument%%=*} in
    --output[_-]dir | --base[_-]models | --log[_-]file)
      echo "error: ${argument%%=*} is set per architecture. Omit it;" \
        "DR_OVO_OUTPUT_ROOT moves all seven folders (see .env.example)." >&2
      exit 2 ;;
  esac
done

child='' stopped=0 first_failure=0
table=$(printf '%-14s %-12s %8s  %s' architecture 'exit code' minutes log)
stop() { # signal, exit code: the running training shuts down, and no other starts
  stopped=$2
  [ -z "$child" ] || kill -s "$1" "$child" 2>/dev/null || true
}
trap 'stop HUP 129' HUP
trap 'stop INT 130' INT
trap 'stop TERM 143' TERM

for name in coatnet convnext swinv2 densenet efficientnet resnet seresnext; do
  if [ "$stopped" != 0 ]; then
    table+=$'\n'$(printf '%-14s %-12s' "$name" 'not started')
    continue
  fi
  echo "== $name"
  start=$SECONDS
  "$here/train_$name.sh" "$@" &
  child=$!
  code=0
  wait "$child" || code=$?
  while kill -0 "$child" 2>/dev/null; do # a signal ends `wait` before the training ends
    code=0
    wait "$child" || code=$?
  done
  child=''
  [ "$first_failure" != 0 ] || first_failure=$code
  table+=$'\n'$(printf '%-14s %-12s %8s  %s' "$name" "$code" \
    $(((SECONDS - start + 30) / 60)) "${name}_training_log.txt")
done

printf '\n%s\n' "$table"
[ "$stopped" = 0 ] || exit "$stopped"
exit "$first_failure"
