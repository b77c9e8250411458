"""Networks: one room per architecture, with its network, sizes, costs and anatomy.

May import `equidyn.core`, neither tasks nor data; rooms do not import one another.
"""
