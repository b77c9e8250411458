"""Data: the store, subsets, downloads, and the sources that examples come from.

May import `equidyn.core`. Each source is a room below `equidyn.data.sources`; modules that several sources share are
here and do not import the sources. Sources do not import one another, so that an edit of one remakes no other's data.
"""
