"""Fleets in virtual time, on the real core, for `simulate` and for the tests.

Nothing may enter that reads a clock, a file or the bus, or waits: a seed is a fleet.
"""
