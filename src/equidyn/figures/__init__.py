"""Figures: `parts` that all share, and `families` of figures that never import one another.

Draws from tables alone, without PyTorch. Imports claims, analyses of tables, the study and what lies below.
"""
