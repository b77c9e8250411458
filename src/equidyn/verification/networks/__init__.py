"""Verifiers: one module per model, named like the beginning of its fixtures' names, each with a function `verify`."""
