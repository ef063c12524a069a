"""What the lock server says over HTTP: FleetLock to hosts, health and metrics to machines.

The only place that knows aiohttp's server; nothing is decided here.
"""
