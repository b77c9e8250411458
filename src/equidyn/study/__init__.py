"""Studies: configuration, run tables, planning, provenance, manifest, archives, tables and the choice of their rows.

Imports nothing heavy when the workflow is parsed. May import `equidyn.run` and what lies below.
"""
