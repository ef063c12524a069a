"""Our connection to D-Bus, for neighbours that may not run.

Knows no interface of any of them.
"""
