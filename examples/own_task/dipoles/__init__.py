"""A task of your own: the dipoles of clouds of charges."""
