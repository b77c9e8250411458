"""Distributions of what the data consist of."""
