"""Published curves beside those of a study."""
