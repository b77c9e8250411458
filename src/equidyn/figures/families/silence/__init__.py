"""Share of the loss, relative equivariance error and skill on one time axis."""
