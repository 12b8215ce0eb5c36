"""What a training writes: config.json, checkpoints, history.csv, log, TensorBoard curves."""
