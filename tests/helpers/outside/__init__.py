"""A package of somebody else: a task, a source of its examples, and a network, all known in closed form."""
