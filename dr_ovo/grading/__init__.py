"""Photographs to verdicts: reading, rows for photographs, eyes and patients, the sheet."""
