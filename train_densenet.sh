#!/usr/bin/env bash
# DenseNet-121, a CNN, nothing frozen -> ./densenet121_5class_results and densenet_training_log.txt
# Settings shared by all wrappers: scripts/wrapper_settings.sh. Flags given here take precedence.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
source "$here/scripts/wrapper_settings.sh"
exec "$py" "$here/ensemble_5class_trainer.py" "${shared_settings[@]}" \
  --base_models densenet121 \
  --img_size 384 \
  --freeze_weights false \
  --batch_size 2 \
  --gradient_accumulation_steps 4 \
  --learning_rate 5e-5 \
  --weight_decay 5e-4 \
  --ovo_dropout 0.40 \
  --num_workers 4 \
  --log_file densenet_training_log.txt \
  "$@"
