"""The paper's claims, judged by code from tables; no word of pictures.

Imports `equidyn.analysis` and what lies below.
"""
