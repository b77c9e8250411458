"""Conformers of drug-like molecules that are made on this machine."""
