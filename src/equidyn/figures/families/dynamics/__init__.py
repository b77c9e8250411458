"""Share of the loss, losses and skill of runs with one curve each."""
