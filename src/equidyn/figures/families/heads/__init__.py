"""The last linear layer and the equivariance error."""
