"""state.json: what survives a reboot, a crash and a power cut.

`words` is pure translation. What to remember is the core's to say.
"""
