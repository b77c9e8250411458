"""Mathematics and machinery that know no study: rotations and groups, decomposition, grids, batches, files, processes.

Imports nothing else of the package.
"""
