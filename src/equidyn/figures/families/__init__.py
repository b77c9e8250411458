"""Families of figures, which never import one another."""
