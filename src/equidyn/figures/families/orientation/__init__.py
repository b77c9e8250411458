"""How examples are oriented."""
