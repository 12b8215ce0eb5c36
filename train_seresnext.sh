#!/usr/bin/env bash
# SE-ResNeXt-50, a CNN, nothing frozen -> ./seresnext50_5class_results and seresnext_training_log.txt
# Settings shared by all wrappers: scripts/wrapper_settings.sh. Flags given here take precedence.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
source "$here/scripts/wrapper_settings.sh"
exec "$py" "$here/ensemble_5class_trainer.py" "${shared_settings[@]}" \
  --base_models seresnext50_32x4d \
  --img_size 224 \
  --freeze_weights false \
  --batch_size 2 \
  --gradient_accumulation_steps 4 \
  --learning_rate 5e-5 \
  --weight_decay 2.5e-4 \
  --ovo_dropout 0.28 \
  --num_workers 4 \
  --log_file seresnext_training_log.txt \
  "$@"
