"""Exactly equivariant controls."""
