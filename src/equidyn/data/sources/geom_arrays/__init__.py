"""GEOM-drugs as NumPy arrays."""
