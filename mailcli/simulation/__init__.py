"""A world with known truth, and its raw files."""
