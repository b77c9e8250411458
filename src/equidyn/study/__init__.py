"""Studies: configuration, run tables, planning, provenance, manifest, archives, tables and the choice of their rows.

Imports nothing heavy at parse time. Imports `equidyn.run` and what lies below, nothing of analyses, claims or figures.
"""
