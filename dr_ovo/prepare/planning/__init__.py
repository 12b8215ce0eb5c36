"""Which split each photograph goes to, and which are left out."""
