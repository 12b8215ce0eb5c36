"""Pictures for the gates: drawn ones that are no fundus, and photographs altered as cameras do."""
