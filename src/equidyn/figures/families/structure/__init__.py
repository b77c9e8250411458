"""The equivariance error by the angle of the rotation and by layer."""
