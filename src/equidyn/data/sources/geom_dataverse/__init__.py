"""GEOM-drugs as its authors published it."""
