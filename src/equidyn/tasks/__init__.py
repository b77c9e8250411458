"""Tasks: what is predicted, how it rotates, how it is compared.

A task is the only thing the training loop and the evaluation know of the science; `contract` says what it must do, and
its `card` what others may know of it. Imports `equidyn.data` and `equidyn.core`; tasks do not import one another.
"""
