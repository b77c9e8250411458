"""Landscapes of the two parts of the loss."""
