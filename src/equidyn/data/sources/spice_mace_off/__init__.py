"""SPICE in the selection and split of MACE-OFF23."""
