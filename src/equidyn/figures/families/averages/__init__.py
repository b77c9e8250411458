"""What averaging the weights does to the fall of the share."""
