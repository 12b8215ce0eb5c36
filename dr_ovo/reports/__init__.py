"""What the reports compute and say: one package per report, named in its first line."""
