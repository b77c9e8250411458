"""The last linear layer."""
