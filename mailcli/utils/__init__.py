"""Helpers that know nothing of recommending."""
