"""org.rebootmgr1: what is asked of us, who may ask it, and the other end of it.

Nothing is decided here.
"""
