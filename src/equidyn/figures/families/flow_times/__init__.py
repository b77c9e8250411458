"""Share of the loss, losses and skill of runs evaluated at several flow times."""
