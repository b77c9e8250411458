"""Protein chains that come with the package."""
