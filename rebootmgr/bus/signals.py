"""Who wants which signal, and whether it comes from where it says."""

from collections.abc import Callable, Iterator
from typing import Final

from rebootmgr.bus.words import DRIVER, MatchRule, Signal

_NOBODY: Final = ""


class Subscriptions:
    """Rules and their handlers, and the owners of the well-known names that rules name.

    Anybody may send us a signal directly, past every match rule, so the sender is compared here.
    Senders are unique names that the bus fills in. A well-known name is followed through its
    owners: the NameOwnerChanged of the bus itself, subscribed to before GetNameOwner asks (which
    starts nothing), so that no change slips in between. Until the owner is known, and while
    there is none, nothing is from that name.
    """

    def __init__(self) -> None:
        self._rules: list[tuple[MatchRule, Callable[[Signal], None]]] = []
        self._owners: dict[str, str | None] = {}  # None: asked, not answered

    def add(self, rule: MatchRule, handler: Callable[[Signal], None]) -> bool:
        """Remember a rule; whether its sender has to be followed, and its owner asked for."""
        self._rules.append((rule, handler))
        if not _is_well_known(rule.sender):
            return False
        return self._owners.setdefault(rule.sender, None) is None

    def remove(self, rule: MatchRule, handler: Callable[[Signal], None]) -> None:
        """Forget a rule; whose senders are followed stays."""
        self._rules.remove((rule, handler))

    def learn(self, name: str, owner: str) -> None:
        """Take the answer of GetNameOwner ("" for none); a change announced since is newer."""
        if self._owners[name] is None:
            self._owners[name] = owner

    def wants(self, sender: str, path: str, interface: str, member: str) -> bool:
        """Whether anybody here may want a signal with such a header."""
        if self._owners and (sender, path, interface, member) == (*DRIVER, "NameOwnerChanged"):
            return True
        return next(self._matching(sender, path, interface, member), None) is not None

    def deliver(self, signal: Signal) -> None:
        """Follow changes of owners, then call every handler whose rule matches."""
        if (signal.sender, signal.path, signal.interface) == DRIVER:
            match signal.member, signal.body:
                case "NameOwnerChanged", [str(name), _, str(owner)] if name in self._owners:
                    self._owners[name] = owner
                case _:
                    pass
        heading = (signal.sender, signal.path, signal.interface, signal.member)
        for rule, handler in tuple(self._matching(*heading)):
            if rule.has_argument(signal.body):
                handler(signal)

    def _matching(
        self, sender: str, path: str, interface: str, member: str
    ) -> Iterator[tuple[MatchRule, Callable[[Signal], None]]]:
        return (
            (rule, handler)
            for rule, handler in self._rules
            if self._is_from(rule.sender, sender) and rule.has_subject(path, interface, member)
        )

    def _is_from(self, wanted: str, sender: str) -> bool:
        if _is_well_known(wanted):
            return sender != _NOBODY and self._owners[wanted] == sender
        return wanted in {"", sender}


def _is_well_known(name: str) -> bool:
    return name not in {"", DRIVER[0]} and not name.startswith(":")
