"""The report: every figure with its caption, the claims and the costs on one page.

May import `equidyn.figures` and what lies below.
"""
