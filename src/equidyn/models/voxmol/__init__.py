"""VoxMol."""
