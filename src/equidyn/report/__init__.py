"""The report: every figure with its caption, the claims and the costs on one page.

Imports figures' cards and what lies below.
"""
