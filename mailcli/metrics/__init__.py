"""AUC, GAUC and RI with their intervals over users and over seeds.

The computations need NumPy, SciPy and, for Holm's correction, statsmodels; only the bootstrap shows its progress.
"""
