"""Proteína."""
