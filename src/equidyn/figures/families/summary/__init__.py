"""All tasks of a study side by side."""
