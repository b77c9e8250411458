"""Equivariance error by angular momentum."""
