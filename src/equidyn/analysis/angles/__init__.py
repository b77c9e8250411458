"""Equivariance error by the angle of rotation."""
