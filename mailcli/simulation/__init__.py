"""A simulated world whose true click probabilities are known, and its raw files."""
