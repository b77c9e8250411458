"""Denoising of voxel grids."""
