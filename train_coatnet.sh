#!/usr/bin/env bash
# CoAtNet-0, a hybrid of convolution and transformer -> ./coatnet_5class_results and coatnet_training_log.txt
# Settings shared by all wrappers: scripts/wrapper_settings.sh. Flags given here take precedence.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
source "$here/scripts/wrapper_settings.sh"
exec "$py" "$here/ensemble_5class_trainer.py" "${shared_settings[@]}" \
  --base_models coatnet_0_rw_224 \
  --img_size 224 \
  --freeze_weights true \
  --freeze_stages 2 \
  --batch_size 2 \
  --gradient_accumulation_steps 4 \
  --learning_rate 5e-5 \
  --weight_decay 2.5e-4 \
  --ovo_dropout 0.28 \
  --num_workers 4 \
  --log_file coatnet_training_log.txt \
  "$@"
