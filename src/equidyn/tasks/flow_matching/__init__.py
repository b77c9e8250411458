"""Flow matching of Cα traces."""
