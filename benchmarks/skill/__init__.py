"""What heads, losses and schedules are worth, out of fold: `python -m benchmarks.ablation`."""
