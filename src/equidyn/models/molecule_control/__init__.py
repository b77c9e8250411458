"""An exactly equivariant network of molecules."""
