#!/usr/bin/env bash
# Trains the seven architectures one after another and goes on where one fails.
# usage: ./run_all.sh [settings for all seven, such as --epochs 50 or --resume]
# Ends with a table. Exit code: 0, or that of the first that failed; 130 and 143 after a signal.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
set -m  # else bash starts the trainings deaf to Ctrl-C

for argument in "$@"; do
  case ${argument%%=*} in
    --output[_-]dir | --base[_-]models | --log[_-]file)
      echo "error: ${argument%%=*} is each architecture's own. Leave it out;" \
        "DR_OVO_OUTPUT_ROOT moves all seven folders (see .env.example)." >&2
      exit 2 ;;
  esac
done

child='' stopped=0 first_failure=0
table=$(printf '%-14s %-12s %8s  %s' architecture 'exit code' minutes log)
stop() { # signal, exit code: the training ends by itself, and no other begins
  stopped=$2
  [ -z "$child" ] || kill -s "$1" "$child" 2>/dev/null || true
}
trap 'stop HUP 129' HUP
trap 'stop INT 130' INT
trap 'stop TERM 143' TERM

for name in coatnet convnext swinv2 densenet efficientnet resnet seresnext; do
  if [ "$stopped" != 0 ]; then
    table+=$'\n'$(printf '%-14s %-12s' "$name" 'not begun')
    continue
  fi
  echo "== $name"
  began=$SECONDS
  "$here/train_$name.sh" "$@" &
  child=$!
  code=0
  wait "$child" || code=$?
  while kill -0 "$child" 2>/dev/null; do # a signal ends `wait` before the training has ended
    code=0
    wait "$child" || code=$?
  done
  child=''
  [ "$first_failure" != 0 ] || first_failure=$code
  table+=$'\n'$(printf '%-14s %-12s %8s  %s' "$name" "$code" \
    $(((SECONDS - began + 30) / 60)) "${name}_training_log.txt")
done

printf '\n%s\n' "$table"
[ "$stopped" = 0 ] || exit "$stopped"
exit "$first_failure"
