"""What anybody who may look is shown, over the socket and over TCP."""

import json
from collections.abc import Mapping
from typing import Final

from rebootmgr.lockd.admin_words import Document, Most, encode_fleet, encode_history, names_of
from rebootmgr.lockd.http.wire_words import SOON_S, Said
from rebootmgr.lockd.lender import Lender
from rebootmgr.lockd.stores.keeper import StoreError

_USUAL: Final = {"holders": "99999", "waiting": "100"}
"""So many are shown of a group, unless somebody asks for more or fewer."""
_TOLD: Final = "100"


def look(lender: Lender, query: Mapping[str, str], most: int) -> bytes | Said:
    """Show the groups, or the one that `group` names, in JSON; or say what is wrong.

    `waiting` and `holders` say how many of each group; no more than `most`.
    """
    known, group = names_of(lender.fleet, lender.rules), query.get("group", "")
    if group and group not in known:
        return _unknown(lender)
    numbers = [_number(query.get(key, usual), most) for key, usual in _USUAL.items()]
    if None in numbers:
        return _no_number(*_USUAL)
    holders, waiting = (number or 0 for number in numbers)
    return _encoded(
        encode_fleet(
            lender.fleet,
            lender.rules,
            lender.moment(),
            trouble=lender.trouble,
            groups=[group] if group else known,
            most=Most(holders, waiting),
        )
    )


async def look_back(lender: Lender, query: Mapping[str, str], most: int) -> bytes | Said:
    """Show the latest `n` that happened, in all groups or in `group`; or say what is wrong."""
    group, number = query.get("group", ""), _number(query.get("n", _TOLD), most)
    if group and group not in names_of(lender.fleet, lender.rules):
        return _unknown(lender)
    if number is None:
        return _no_number("n")
    try:
        return _encoded(encode_history(await lender.history(number, group), lender.moment()))
    except StoreError as error:
        return Said(status=503, kind="store_unavailable", value=str(error), retry_after_s=SOON_S)


def _encoded(document: Document) -> bytes:
    return json.dumps(document).encode("ascii") + b"\n"


def _unknown(lender: Lender) -> Said:
    value = f"there is no such group, the configuration has {', '.join(lender.rules.groups)}"
    return Said(status=404, kind="unknown_group", value=value)


def _no_number(*names: str) -> Said:
    value = f"{' and '.join(names)} must be a whole number from 0"
    return Said(status=400, kind="bad_request", value=value)


def _number(text: str, most: int) -> int | None:
    if not (text.isascii() and text.isdecimal()):
        return None
    return most if len(text) > len(str(most)) else min(int(text), most)
