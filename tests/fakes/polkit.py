"""polkitd, as far as rebootmgr asks it."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Self

from tests.fakes.service import Answer, Call, Interface, Refused, Service, Silence

PATH: Final = "/org/freedesktop/PolicyKit1/Authority"
AUTHORITY: Final = "org.freedesktop.PolicyKit1.Authority"


class Mode(Enum):
    """What it says to every question."""

    YES = auto()
    NO = auto()
    CHALLENGE = auto()
    DISMISSED = auto()
    MUTE = auto()
    BROKEN = auto()
    ODD = auto()


@dataclass(frozen=True)
class Question:
    """One CheckAuthorization."""

    name: str
    action: str
    details: dict[str, str]
    flags: int
    cancellation_id: str


class FakePolkit:
    """`asked` is every question, `cancelled` the ids of those that were taken back."""

    def __init__(self, address: str, mode: Mode = Mode.YES) -> None:
        self.mode = mode
        self.asked: list[Question] = []
        self.cancelled: list[str] = []
        self.service = Service(address, "org.freedesktop.PolicyKit1")
        methods = {
            "CheckAuthorization": self._check,
            "CancelCheckAuthorization": self._cancel,
        }
        self.service.objects[PATH] = {AUTHORITY: Interface(methods=methods)}

    async def __aenter__(self) -> Self:
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.close()

    def _check(self, call: Call) -> Answer:
        (kind, subject), action, details, flags, id_ = call.body
        if kind != "system-bus-name" or set(subject) != {"name"}:
            raise Refused("org.freedesktop.PolicyKit1.Error.Failed", f"no subject: {call.body}")
        self.asked.append(Question(subject["name"].value, action, details, flags, id_))
        match self.mode:
            case Mode.YES:
                return _result(is_authorized=True)
            case Mode.NO:
                return _result()
            case Mode.CHALLENGE:
                return _result(is_challenge=True)
            case Mode.DISMISSED:
                return _result({"polkit.dismissed": "true"})
            case Mode.MUTE:
                raise Silence
            case Mode.BROKEN:
                text = f"Action {action} is not registered\n"
                raise Refused("org.freedesktop.PolicyKit1.Error.Failed", text)
            case Mode.ODD:
                return Answer("s", ["yes"])

    def _cancel(self, call: Call) -> Answer:
        self.cancelled.append(call.body[0])
        return Answer()


def _result(
    details: dict[str, str] | None = None,
    *,
    is_authorized: bool = False,
    is_challenge: bool = False,
) -> Answer:
    result: list[Any] = [is_authorized, is_challenge, details or {}]
    return Answer("(bba{ss})", [result])
