"""What users type: one module per command, each with `main(argv, prog) -> exit code`."""
