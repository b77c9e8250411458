"""Anyone's model, measured: which share of its error is broken symmetry, with an interval, and whether it is round-off.

`equidyn.measure` needs nothing but a function that predicts and examples. This room knows no study, no task and no
network of this project, and imports `equidyn.core` alone.
"""
