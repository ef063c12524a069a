"""What the administrator wants: drop-ins on disk, to checked settings, to the core's Policy.

Only astray, drop_ins, identity, load and readable touch the world. No neighbour is asked anything
here.
"""
