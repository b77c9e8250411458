"""A task of one's own: the dipoles of clouds of charges."""
