"""The paper's claims, judged by code from tables; nothing about figures.

May import `equidyn.analysis` and what lies below.
"""
