"""Analyses: quantities computed from checkpoints beyond their evaluation, and from tables before they are drawn.

May import `equidyn.study` and what lies below; rooms do not import one another.
"""
