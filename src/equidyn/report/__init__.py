"""Pages for people, each one file: a study with every figure, the claims and the costs; a single measurement.

`equidyn.report.rendering` makes them of the templates here, which share `parts`. May import `equidyn.figures` and what
lies below.
"""
