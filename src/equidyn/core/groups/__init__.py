"""Groups: one room each, with a card that says what tables call it and a symmetry that samples it and acts.

Rooms import `equidyn.core` alone and not each other. They are found by looking (`equidyn.core.rooms`), so that a new
one is its own folder and nothing else.
"""
