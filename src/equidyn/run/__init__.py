"""One run: training, evaluation, checkpoints, devices.

Knows tasks by their contract and networks by the registry; knows no study. Imports models, tasks and what lies below.
"""
