"""Hessians of both parts of the loss."""
