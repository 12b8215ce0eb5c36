"""Plans the splits: what must stay together, what is dropped, and where each photograph goes."""
