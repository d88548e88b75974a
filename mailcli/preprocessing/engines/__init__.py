"""Engines of preprocessing: one file each."""
