"""What polkit is asked, and what its answers mean (org.freedesktop.PolicyKit1.Authority(5))."""

from collections.abc import Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

ACTION: Final = "org.rebootmgr1.manage"
QUESTION: Final = "(sa{sv})sa{ss}us"
ALLOW_USER_INTERACTION: Final = 1

_MESSAGES: Final = MappingProxyType(
    {
        "Hold": "keep this host from rebooting",
        "Release": "lift a hold on reboots of this host",
        "Reboot": "reboot this host into its pending update",
        "Cancel": "call off the reboot of this host",
        "Forgive": "let updates that failed on this host be tried again",
        "Reload": "reload the configuration of rebootmgr",
    }
)


class Answer(StrEnum):
    """What polkit said, in the words of a refusal."""

    YES = "authorized"
    CHALLENGE = "needs authentication"
    DISMISSED = "was not confirmed: the authentication was dismissed"
    NO = "was refused"
    ODD = "got an answer that makes no sense"


def encode_details(member: str) -> dict[str, str]:
    """Tell whoever is asked for a password what it is for, and rules which verb is meant."""
    what = _MESSAGES.get(member, "manage reboots of this host")
    message = f"Authentication is required to {what}."
    return {"polkit.message": message, "verb": member.lower()}


def decode_answer(body: Sequence[object]) -> Answer:
    """Meaning of a reply to CheckAuthorization, of type ((bba{ss}))."""
    match body:
        case [[True, bool(), dict()]]:
            return Answer.YES
        case [[False, True, dict()]]:
            return Answer.CHALLENGE
        case [[False, False, dict(details)]]:
            return Answer.DISMISSED if details.get("polkit.dismissed") else Answer.NO
        case _:
            return Answer.ODD
