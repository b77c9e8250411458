"""The paper's claims and ours, judged by code from tables and from the authors' data; nothing about figures.

May import `equidyn.analysis` and what lies below.
"""
