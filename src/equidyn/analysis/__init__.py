"""Analysis: what is computed from tables before they are drawn."""
