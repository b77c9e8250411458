"""Gradients of both parts of the loss."""
