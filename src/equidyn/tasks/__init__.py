"""Tasks: what is predicted, how it transforms and how it is compared.

A task is all that the training loop and the evaluation know of the science; `contract` says what it must do, and its
`card` what others may know of it. May import `equidyn.data` and what lies below; tasks do not import one another.
"""
