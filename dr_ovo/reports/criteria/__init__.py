"""`medical_validation.py`: models judged against a checklist of criteria."""
