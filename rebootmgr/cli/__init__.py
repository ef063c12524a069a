"""rebootmgrctl: verbs, and screens for people and scripts.

It asks the daemon or reads what lies on disk; it decides nothing, and nothing imports it.
"""
