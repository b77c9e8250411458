"""Protein chains of the user's own PDB and mmCIF files."""
