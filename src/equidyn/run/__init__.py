"""One run: training, evaluation, checkpoints, devices.

Knows tasks by their contract and networks by the registry; knows no study. May import `equidyn.verification` and what
lies below.
"""
