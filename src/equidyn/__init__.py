"""Training dynamics of learned 3D-rotational equivariance.

Importing the package imports nothing heavy, as the workflow does so whenever it is parsed.
"""

__version__ = "0.1.0"
