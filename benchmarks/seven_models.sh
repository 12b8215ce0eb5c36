#!/usr/bin/env bash
# All seven architectures for an epoch from random weights on a small set, then every report on
# them: shows that the parts fit, not how good the models are.
# usage: benchmarks/seven_models.sh DATASET OUTPUT
set -euo pipefail
here=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
source "$here/scripts/wrapper_settings.sh"
[ $# = 2 ] || { echo "error: expected two arguments: DATASET OUTPUT." >&2; exit 2; }
dataset=$1 output=$2

"$py" "$here/ensemble_5class_trainer.py" --mode train \
  --base_models coatnet convnext swinv2 densenet121 efficientnetb2 resnet50 seresnext50 \
  --dataset_path "$dataset" --output_dir "$output" --no_pretrained --freeze_weights false \
  --img_size 64 --epochs 1 --batch_size 8 --gradient_accumulation_steps 1 --train_sample 0
"$py" "$here/ensemble_5class_trainer.py" --mode evaluate \
  --base_models coatnet convnext swinv2 densenet121 efficientnetb2 resnet50 seresnext50 \
  --dataset_path "$dataset" --output_dir "$output"

results=("$output"/*_5class_results)
report() {
  local script=$1
  shift
  "$py" "$here/$script" --results_dirs "${results[@]}" --output "$output/${script%.py}" "$@"
}
report compare_models.py
report analyze_ensemble_diversity.py
report analyze_per_class_strengths.py
report evaluate_super_ensemble.py --method greedy --export "$output/ensemble.json"
report medical_validation.py || [ $? = 1 ] # criteria not met: such models meet none
"$py" "$here/report.py" --results_dirs "${results[@]}" --output "$output/report.html"
