"""Tasks: what is predicted, how it rotates, how it is compared."""
