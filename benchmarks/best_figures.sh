#!/usr/bin/env bash
# The best figures reached: a few softmax networks with a plain loss, each an average of its weights
# over steps and of four views, its last epoch kept (nothing is picked on val); then the mean of several.
# usage: benchmarks/best_figures.sh idrid|retinamnist28 DATASET OUTPUT
# Goes on where it was stopped. An hour or two on two cores.
set -euo pipefail
here=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
source "$here/scripts/wrapper_settings.sh"
[ $# = 3 ] || { echo "error: expected three arguments: idrid|retinamnist28 DATASET OUTPUT." >&2; exit 2; }
dataset=$2 output=$3
case $1 in # size in pixels, epochs, seed, further flags
  idrid) members=("224 24 1" "224 24 2") ;;
  retinamnist28) members=("112 30 2 --preprocessing none") ;;
  *) echo "error: '$1': expected idrid or retinamnist28." >&2; exit 2 ;;
esac

for member in "${members[@]}"; do
  read -r size epochs seed more <<<"$member"
  results=$output/member_$seed
  [ ! -f "$results/evaluation.json" ] || continue
  # shellcheck disable=SC2086  # $more is flags
  "$py" "$here/ensemble_5class_trainer.py" --mode train --base_models tf_efficientnet_lite0 \
    --dataset_path "$dataset" --output_dir "$results" --seed "$seed" --resume \
    --img_size "$size" --epochs "$epochs" --warmup_epochs 1 --patience "$epochs" \
    --batch_size 16 --gradient_accumulation_steps 1 --learning_rate 5e-4 \
    --head softmax --enable_focal_loss false --enable_class_weights false --label_smoothing 0.1 \
    --ema_decay 0.98 --tta_views 4 --keep_epoch last --train_sample 0 --num_workers 1 $more
  "$py" "$here/ensemble_5class_trainer.py" --mode evaluate --dataset_path "$dataset" \
    --output_dir "$results"
done
[ ${#members[@]} -gt 1 ] || exit 0
"$py" "$here/evaluate_super_ensemble.py" --results_dirs "$output"/member_* --method mean \
  --output "$output/mean"
