"""FleetLock: the protocol's words, and the client that asks for a slot.

`words` is pure and may serve a server, too. Whether to ask is the core's to say.
"""
