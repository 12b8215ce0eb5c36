"""`medical_validation.py`: models held against a checklist of criteria."""
