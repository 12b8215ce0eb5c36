"""What the reports compute and say, one package per report."""
