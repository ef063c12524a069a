"""The reboot manager for rpm-ostree hosts."""

__version__ = "0.1.0"
