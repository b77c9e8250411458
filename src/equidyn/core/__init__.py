"""Mathematics and tools that know no study: rotations and groups, decomposition, grids, batches, files, processes.

May import nothing else of the package; groups do not import one another.
"""
