#!/usr/bin/env bash
# EfficientNet-B2, a CNN, nothing frozen -> ./efficientnetb2_5class_results and efficientnet_training_log.txt
# Settings shared by all wrappers: scripts/wrapper_settings.sh. Flags given here take precedence.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
source "$here/scripts/wrapper_settings.sh"
exec "$py" "$here/ensemble_5class_trainer.py" "${shared_settings[@]}" \
  --base_models efficientnet_b2 \
  --img_size 384 \
  --freeze_weights false \
  --batch_size 4 \
  --gradient_accumulation_steps 2 \
  --learning_rate 6e-5 \
  --weight_decay 2.2e-4 \
  --ovo_dropout 0.26 \
  --num_workers 4 \
  --log_file efficientnet_training_log.txt \
  "$@"
