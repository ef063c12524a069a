"""From what is staged to our call of logind, for each source: `python -m benchmarks.reaction`.

The real daemon on a real bus, strategy immediate. rpm-ostree's stand-in tells it by
PropertiesChanged, files of ostree and of bootc on composefs by inotify. logind's stand-in refuses
each reboot, the update is withdrawn, and the next round begins, with a daemon that does not know of
the refusal. Beside it, in the same run, what no daemon could do without: as many calls on the same
bus, one after the other, and one save of the state.
"""

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.figures import Figure, Figures, milliseconds, table
from rebootmgr.core.memory import Memory
from rebootmgr.state.store import StateStore
from tests.fakes.bootc_host import KINDS, BootcHost
from tests.fakes.host import Host
from tests.fakes.logind import Mode

ROUNDS = 20
CALLS = 12  # two looks: Reload, two GetAll, three to logind; each of them twice
PATIENCE_S = 20.0


class Calls(list[tuple[str, list[Any]]]):
    """What logind was asked; `rebooting` is set by a call for a reboot."""

    def __init__(self) -> None:
        super().__init__()
        self.rebooting = asyncio.Event()

    def append(self, call: tuple[str, list[Any]]) -> None:
        super().append(call)
        if call[0] == "RebootWithFlags":
            self.rebooting.set()


async def stage(host: Host, version: str) -> None:
    """Stage an update, as the source of this host has it done."""
    match host:
        case BootcHost():
            host.stage(version)
        case _:
            await host.os.stage(version)


async def withdraw(host: Host) -> None:
    """Withdraw it."""
    match host:
        case BootcHost():
            host.withdraw()
        case _:
            host.trees.cleanup()
            await host.os.refresh()


async def react(host: Host, number: int) -> float:
    """Seconds from staging to the call that reaches logind; then all is as it was."""
    host.logind.calls = calls = Calls()
    begin = perf_counter()
    await stage(host, f"42.{number + 2}")
    async with asyncio.timeout(PATIENCE_S):
        await calls.rebooting.wait()
    taken = perf_counter() - begin
    await host.until_blocked("logind_unreachable")
    await withdraw(host)
    await host.until_state("idle")
    await host.stop()  # the next daemon does not know that logind refused, and puts nothing off
    await host.start()
    await host.until_state("idle")
    return taken


async def exchange(host: Host) -> float:
    """Seconds for `CALLS` round trips between two clients of the same bus."""
    begin = perf_counter()
    for _ in range(CALLS):
        await host.bus.call(
            "org.freedesktop.login1",
            "/org/freedesktop/login1",
            "org.freedesktop.login1.Manager",
            "ListInhibitors",
        )
    return perf_counter() - begin


def save(store: StateStore) -> float:
    """Seconds for one save that survives a power cut."""
    begin = perf_counter()
    store.write(Memory())
    return perf_counter() - begin


async def measure(rounds: int = ROUNDS) -> Figures:
    """Each source, and what is beside it, round by round."""
    found: dict[str, Figure] = {}
    kinds: dict[str, type[Host]] = {"rpm-ostree": Host, **KINDS}
    for name, kind in kinds.items():
        reactions, exchanges, saves = [], [], []
        with tempfile.TemporaryDirectory(prefix="rebootmgr-bench-") as scratch:
            async with kind(Path(scratch)) as host:
                host.configure("[updates.limits]\nreboots_per_day = 1000\n")
                host.logind.mode = Mode.REFUSE
                store = StateStore(Path(scratch, "elsewhere"))
                await host.start()
                await host.until_state("idle")
                for number in range(rounds):
                    reactions.append(await react(host, number))
                    exchanges.append(await exchange(host))
                    saves.append(save(store))
        least = milliseconds([calls + one for calls, one in zip(exchanges, saves, strict=True)])
        found |= {
            f"{name}, {CALLS} calls on the bus, one save": least,
            f"{name}, update staged to reboot called": milliseconds(reactions).against(least),
        }
    return found


def run() -> Figures:
    return asyncio.run(measure())


if __name__ == "__main__":
    print(*table(run()), sep="\n")
