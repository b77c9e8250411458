"""The tests, as a package of their own: an installed package (mace-torch) brings another `tests`, which would hide them."""
