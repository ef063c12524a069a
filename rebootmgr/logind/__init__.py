"""systemd-logind (org.freedesktop.login1(5)): sessions, inhibitors, the reboot, terminals.

`words` is pure translation. Whether anything is in the way of a reboot is the core's to say.
"""
