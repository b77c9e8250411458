"""Rotations of a cube."""
