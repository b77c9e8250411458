"""Tasks: what is predicted, how it rotates, how it is compared.

A task is the only thing the training loop and the evaluation know of the science; `contract` says what it must do.
"""

TASKS = {
    "force_field": "equidyn.tasks.force_field.task:ForceField",
    "flow_matching": "equidyn.tasks.flow_matching.task:FlowMatching",
    "voxel_denoising": "equidyn.tasks.voxel_denoising.task:VoxelDenoising",
}
"""Class of each task, as ``"module:name"``."""
