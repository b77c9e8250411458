"""Every figure by name: its text and what draws it. Imports no plotting library, so that the workflow can read it."""

FIGURES = {n: {"title": n, "description": n, "category": "x", "labels": {}} for n in ("percent_linear",)}


def catalogue():
    return FIGURES
