"""Verifiers, one module a model, named as its fixtures begin; each has a function `verify`."""
