# Settings shared by the seven train_*.sh, and `py`, the Python that trains. Sourced by them, with
# their folder in `here`. Flags in a wrapper or on its command line take precedence over these.

if [ -n "${PYTHON:-}" ]; then py=$PYTHON
elif [ -n "${VIRTUAL_ENV:-}" ]; then py=$VIRTUAL_ENV/bin/python
# on many machines conda's "base" is active in every shell without having been chosen
elif [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-}" != base ]; then py=$CONDA_PREFIX/bin/python
elif [ -x "$here/.venv/bin/python" ]; then py=$here/.venv/bin/python
else py=python3
fi
if ! command -v "$py" >/dev/null; then
  echo "error: no Python at '$py'. Run ./quickstart.sh once, or set PYTHON to the one to use." >&2
  exit 2
fi

shared_settings=(
  --mode train
  --num_classes 5
  --ovo_mode shared
  --head ovo
  --epochs 100
  --scheduler cosine
  --warmup_epochs 10
  --patience 28
  --enable_focal_loss
  --focal_loss_gamma 3.0
  --focal_loss_alpha 2.5
  --enable_class_weights
  --label_smoothing 0.1
  --enable_clahe
  --clahe_clip_limit 3.0
  --enable_medical_augmentation
  --rotation_range 25
  --brightness_range 0.2
  --contrast_range 0.2
  --amp auto
  --grad_checkpointing auto
  --seed 42
)
