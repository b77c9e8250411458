"""Data: where examples come from and how they are stored."""

SOURCES = {
    "force_field": {"offline": "equidyn.data.molecules:build_store"},
    "flow_matching": {
        "offline": "equidyn.data.proteins:build_offline_store",
        "files": "equidyn.data.proteins:build_store_of_files",
    },
    "voxel_denoising": {"offline": "equidyn.data.conformers:build_store"},
}
"""What makes the store of each task, by the name of the source, as ``"module:name"``."""
