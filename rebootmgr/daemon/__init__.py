"""rebootmgrd: one loop around the core, wired to the rooms of the neighbours.

Nothing is decided or translated here, and no other program imports it.
"""
