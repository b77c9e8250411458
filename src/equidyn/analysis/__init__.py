"""Analyses: what is computed from checkpoints beyond their evaluation, and from tables before they are drawn."""

ANALYSES = {
    "gradients": "equidyn.analysis.gradients:measure",
    "head": "equidyn.analysis.linear_head:measure",
    "hessian": "equidyn.analysis.hessian:measure",
    "landscape": "equidyn.analysis.landscape:measure",
    "angles": "equidyn.analysis.angles:measure",
    "layers": "equidyn.analysis.layers:measure",
}
"""Analyses of checkpoints: what `equidyn.analysis.checkpoints` calls for each, as ``"module:name"``."""
