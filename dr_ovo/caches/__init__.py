"""Caches of measurements, in SQLite files whose rows only this user of this machine can write."""
