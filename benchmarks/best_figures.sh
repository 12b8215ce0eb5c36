#!/usr/bin/env bash
# The best figures reached: the same network from several seeds, each an average of its weights over
# steps and of four views, its last epoch kept (nothing is picked on val); then their mean.
# usage: [SEEDS="1 2 3"] benchmarks/best_figures.sh DATASET OUTPUT [flags of the trainer]
# Goes on where it was stopped.
set -euo pipefail
here=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
source "$here/scripts/wrapper_settings.sh"
[ $# -ge 2 ] || { echo "error: expected DATASET OUTPUT, then flags of the trainer." >&2; exit 2; }
dataset=$1 output=$2
shift 2

for seed in ${SEEDS:-1 2 3}; do
  results=$output/seed_$seed
  [ ! -f "$results/evaluation.json" ] || continue
  "$py" "$here/ensemble_5class_trainer.py" --mode train --base_models tf_efficientnet_lite0 \
    --dataset_path "$dataset" --output_dir "$results" --seed "$seed" --resume \
    --batch_size 16 --gradient_accumulation_steps 1 --learning_rate 5e-4 --warmup_epochs 1 \
    --patience 1000 --train_sample 0 --num_workers 1 \
    --ema_decay 0.98 --tta_views 4 --keep_epoch last "$@"
  "$py" "$here/ensemble_5class_trainer.py" --mode evaluate --dataset_path "$dataset" \
    --output_dir "$results"
done
"$py" "$here/evaluate_super_ensemble.py" --results_dirs "$output"/seed_* --method mean \
  --output "$output/mean"
