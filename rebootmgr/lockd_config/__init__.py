"""What the administrator wants of the lock server: its drop-ins, to groups that lend, and on what.

No file but the drop-ins is opened, and nothing of a running server may enter: `simulate` reads
this.
"""
