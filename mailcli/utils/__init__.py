"""Helpers that are independent of recommendation: files, progress, hardware, signals, logging, checks of settings."""
