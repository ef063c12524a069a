"""What people read when they log in while a reboot is pending (motd(5))."""

import textwrap
from datetime import tzinfo
from typing import Final

from rebootmgr.core.sentence import say_instant, sentence
from rebootmgr.core.status import Status, Verdict

COLUMNS: Final = 80
HINT: Final = "`rebootmgrctl why` tells more."


def encode_motd(status: Status, zone: tzinfo) -> str:
    """Say what is pending, why it waits and until when, in `zone`; "" when nothing is pending."""
    if status.verdict is Verdict.IDLE:
        return ""
    said = [sentence(status, zone)]
    if status.verdict is Verdict.WAIT and status.predicted and status.predicted > status.at:
        when = say_instant(status.predicted, zone)
        if when not in said[0]:
            said.append(f"The next reboot is {when} at the earliest.")
    lines = (line for each in (*said, HINT) for line in textwrap.wrap(each, COLUMNS))
    return "".join(f"{line}\n" for line in lines)
