"""Finished runs for others: `mail export` and `mail score`."""
