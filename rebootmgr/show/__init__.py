"""What is told to whoever looks: metrics and their socket, the message at the login.

It changes nothing.
"""

from rebootmgr.lean import import_bare

import_bare("prometheus_client", "metrics_core", "utils")
