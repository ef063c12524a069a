"""Times as somebody at a prompt types them: several words, in the time zone that they see."""

import os
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, tzinfo
from pathlib import Path

from rebootmgr.config.identity import read_localtime
from rebootmgr.config.values import decode_zone


class JoinedWords(Action):
    """Takes the words of an option as one text, so that `--for 2h 30m` needs no quotes."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Set it."""
        words = [values] if isinstance(values, str) else values or ()
        setattr(namespace, self.dest, " ".join(map(str, words)))


def zone_of(root: Path) -> tzinfo:
    """Give the zone of TZ, as every program here has it, else that of the host below `root`."""
    try:
        if name := os.environ.get("TZ", "").removeprefix(":"):
            return decode_zone(name)
    except LookupError:
        pass  # a rule of POSIX, such as CET-1CEST, is for the C library alone
    return read_localtime(root) or UTC
