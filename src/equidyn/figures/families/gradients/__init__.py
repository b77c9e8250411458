"""Gradients of the two parts of the loss."""
