"""The parts of reading label files: text, rows, columns, cells, and the photographs they name."""
