"""MACE, from its own package: an equivariant network that people use, to compare others with."""
