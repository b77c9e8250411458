"""EScAIP."""
