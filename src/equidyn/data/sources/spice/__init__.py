"""SPICE as its authors release it, in HDF5."""
