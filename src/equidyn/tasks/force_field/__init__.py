"""Direct force fields."""
