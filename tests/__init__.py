"""The tests, as a package: mace-torch installs another `tests`, which would hide a folder without this file."""
