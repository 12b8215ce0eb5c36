"""A run of several processes, started by torchrun: who they are, what each does, how they agree."""
