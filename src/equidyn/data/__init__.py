"""Data: the store, subsets of it, downloads, and the sources that examples come from. May import `core`.

Each source is a room below `equidyn.data.sources`; what several of them share are modules here. Sources do not import
one another, so that an edit of one remakes no other's data.
"""
