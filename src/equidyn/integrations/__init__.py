"""Other people's programs, measured and used as they are: one module for each, which imports it.

The modules adapt; what they measure with is `equidyn.measuring`. May import `equidyn.measuring` and what lies below.
"""
