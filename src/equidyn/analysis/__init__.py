"""Analyses: what is computed from checkpoints beyond their evaluation, and from tables before they are drawn."""

ANALYSES = {
    "gradients": "equidyn.analysis.gradients.measure:measure",
    "head": "equidyn.analysis.head.measure:measure",
    "hessian": "equidyn.analysis.hessian.measure:measure",
    "landscape": "equidyn.analysis.landscape.measure:measure",
    "angles": "equidyn.analysis.angles.measure:measure",
    "layers": "equidyn.analysis.layers.measure:measure",
}
"""Analyses of checkpoints: what `equidyn.analysis.checkpoints` calls for each, as ``"module:name"``."""

GRID_ACTIONS = {
    "gradients": ("cube", "trilinear", "atoms"),
    "head": ("cube",),
    "hessian": ("cube", "atoms"),
    "landscape": ("cube", "atoms"),
    "angles": ("trilinear", "cubic", "atoms"),
    "layers": ("cube",),
}
"""Actions of voxel denoising that each can do with. Cubic splines have no derivative here and trilinear interpolation
no second one, the rotations of a cube have no continuous angle, and all others turn features of a network inexactly."""
