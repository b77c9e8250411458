"""Sources of data, one room each: a card that declares it, and the modules that make its store.

May import `equidyn.core` and the modules of `equidyn.data`; sources do not import one another.
"""
