"""Networks: one room an architecture, with its network, sizes, costs and anatomy.

Imports `equidyn.core`; rooms do not import one another.
"""
