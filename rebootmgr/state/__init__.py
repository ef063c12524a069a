"""state.json: what survives a reboot, a crash and a power cut.

`words` and `growth_words` are pure. What to remember is the core's to say.
"""
