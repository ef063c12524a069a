"""Where it is kept who holds a slot and who waits.

Nothing may enter that decides: what is to be written is said, and all of it is written, or nothing.
"""
