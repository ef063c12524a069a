"""The administrator's programs around a reboot: which there are, and how they are run.

`words` is pure. What their answers mean is the core's to say.
"""
