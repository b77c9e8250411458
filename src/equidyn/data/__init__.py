"""Data: where examples come from and how they are stored."""

from typing import NamedTuple


class Source(NamedTuple):
    """One way to come by a task's examples.

    Attributes:
        builder: What makes the store, as ``"module:name"``.
        dataset: Data set of the registry that it is made from; empty if nothing is downloaded.
    """

    builder: str
    dataset: str = ""


SOURCES = {
    "force_field": {
        "offline": Source("equidyn.data.molecules:build_store"),
        "spice-mace-off": Source("equidyn.data.spice:build_store_of_xyz", "spice_mace_off"),
        "spice": Source("equidyn.data.spice:build_store_of_hdf5", "spice"),
    },
    "flow_matching": {
        "offline": Source("equidyn.data.proteins:build_offline_store"),
        "files": Source("equidyn.data.proteins:build_store_of_files"),
        "pdb": Source("equidyn.data.pdb:build_store", "pdb"),
    },
    "voxel_denoising": {
        "offline": Source("equidyn.data.conformers:build_store"),
        "geom-arrays": Source("equidyn.data.geom_drugs:build_store_of_arrays", "geom_drugs_arrays"),
        "geom-midi": Source("equidyn.data.geom_drugs:build_store_of_midi", "geom_drugs_midi"),
        "geom-dataverse": Source("equidyn.data.geom_drugs:build_store_of_dataverse", "geom_drugs"),
    },
}
"""Sources of each task by name."""
