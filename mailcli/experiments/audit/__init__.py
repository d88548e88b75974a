"""Audit of generated behavior: is it the user's own, and what would the real one be worth?"""
