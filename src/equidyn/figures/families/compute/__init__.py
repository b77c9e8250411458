"""Losses against training compute, beside an equivariant control."""
