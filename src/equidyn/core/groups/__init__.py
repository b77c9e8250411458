"""Groups, one room each: a card with its name in tables, and a symmetry that samples the group and acts.

Rooms may import `equidyn.core` alone and do not import one another. They are discovered (`equidyn.core.rooms`), so that
a new group is one folder and nothing else.
"""
