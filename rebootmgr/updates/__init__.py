"""Where updates come from: rpm-ostree, and ostree's files. Yields what is booted and staged.

`words` is pure translation. Whether to reboot into it is the core's to say.
"""
