"""An exactly equivariant network of chains."""
