"""The paper's claims, judged by code from tables; nothing about figures.

Imports `equidyn.analysis` and what lies below.
"""
