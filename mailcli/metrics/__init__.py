"""AUC, GAUC and RI, and their intervals over users and over seeds; only NumPy and SciPy are needed."""
