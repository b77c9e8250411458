"""Golden numbers: what was recorded of published networks, against what ours compute.

`fixtures` reads and compares; each module of `networks` knows one model. Imports models, tasks and what lies below.
"""
