"""One process at a time: who holds a lock, and the locks on files and folders that are written."""
