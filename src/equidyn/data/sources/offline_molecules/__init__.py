"""Small molecules that are made and labelled on this machine."""
