"""Groups, one room each: a card with its name in tables, and a symmetry that samples the group and acts.

Rooms import `equidyn.core` alone and not each other. They are discovered (`equidyn.core.rooms`), so that a new group is
one folder and nothing else.
"""
