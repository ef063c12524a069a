"""What is decided: the whole of it is functions of (state, event, time, policy).

Nothing may enter that reads a clock, a file or the bus, waits, logs or draws
lots; no neighbour is known.
"""
