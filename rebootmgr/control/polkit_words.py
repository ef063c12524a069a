"""What polkit is asked, and what its answers mean (org.freedesktop.PolicyKit1.Authority(5))."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from rebootmgr.control.members import STEERING

QUESTION: Final = "(sa{sv})sa{ss}us"
ALLOW_USER_INTERACTION: Final = 1

_PURPOSES: Final = {member.name: member.purpose for member in STEERING}


class Leave(StrEnum):
    """What polkit said, in the words of a refusal."""

    YES = "authorized"
    CHALLENGE = "needs authentication"
    DISMISSED = "was not confirmed: the authentication was dismissed"
    NO = "was refused"
    ODD = "got an answer that makes no sense"


def encode_details(member: str) -> dict[str, str]:
    """Tell whoever is asked for a password what it is for, and rules which verb is meant."""
    message = f"Authentication is required to {_PURPOSES[member]}."
    return {"polkit.message": message, "verb": member.lower()}


def decode_answer(body: Sequence[object]) -> Leave:
    """Meaning of a reply to CheckAuthorization, of type ((bba{ss}))."""
    match body:
        case [[True, bool(), dict()]]:
            return Leave.YES
        case [[False, True, dict()]]:
            return Leave.CHALLENGE
        case [[False, False, dict(details)]]:
            return Leave.DISMISSED if details.get("polkit.dismissed") else Leave.NO
        case _:
            return Leave.ODD
