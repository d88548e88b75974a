"""mail: an experiment runner for MAIL, zero-shot interest learning for new users (CIKM 2021)."""

__version__ = "0.1.0"
