"""rebootmgrd with more time than a host gives it, for what it does if the time is enough.

`python -m` runs it.
"""

import sys

from rebootmgr.daemon import app
from rebootmgr.daemon.main import main
from tests.waiting import BOUND_S

if __name__ == "__main__":
    vars(app).update(FIRST_LOOK_S=BOUND_S, STOP_S=BOUND_S, LAST_ORDERS_S=BOUND_S)
    sys.exit(main())
