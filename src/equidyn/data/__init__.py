"""Data: where examples come from and how they are stored."""
