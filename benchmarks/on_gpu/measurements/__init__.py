"""The measurements: each module has `measure(setting, argument, emit)`."""
