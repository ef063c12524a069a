"""The lock server: what it lends is decided in `lending`, and kept by one of the stores.

Nothing of a host may enter: it reads no deployment and reboots nothing, and no host imports it.
"""
