"""Golden numbers: recorded outputs of published networks, compared with ours.

`fixtures` reads and compares; each module of `networks` knows one model. May import `equidyn.models` and what lies
below.
"""
