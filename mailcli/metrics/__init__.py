"""AUC, GAUC and RI with their intervals over users and over seeds.

They need NumPy, SciPy and, for Holm's correction, statsmodels.
"""
