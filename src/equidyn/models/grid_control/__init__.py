"""An exactly equivariant network of grids."""
