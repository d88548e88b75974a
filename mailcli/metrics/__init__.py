"""AUC, GAUC and RI, their intervals over users and over seeds. NumPy and SciPy alone."""
