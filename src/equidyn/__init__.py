"""Training dynamics of learned 3D-rotational equivariance.

Importing the package is free of heavy imports: the workflow reads it at parse time.
"""

__version__ = "0.1.0"
