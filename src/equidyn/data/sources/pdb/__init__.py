"""Protein chains of the Protein Data Bank, selected by its index files."""
