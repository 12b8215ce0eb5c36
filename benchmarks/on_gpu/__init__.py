"""What benchmarks/gpu.sh measures on a GPU, one measurement after the other, each in a process."""
