"""Equivariance error of hidden features."""
