"""Analyses: what is computed from checkpoints beyond their evaluation, and from tables before they are drawn."""
