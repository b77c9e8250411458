"""Rotations and reflections."""
