"""Golden numbers: recorded outputs of published networks, compared with ours.

`fixtures` reads and compares; each module of `networks` knows one model. Imports models, tasks and what lies below.
"""
