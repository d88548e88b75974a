"""The simulated online A/B test (MAIL Sec. 4.5)."""
