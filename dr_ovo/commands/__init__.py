"""The commands that users run: one module each, with `main(argv, prog) -> exit code`."""
