"""People on a machine: commands and programs of theirs, with what standard input tells them."""

import asyncio
import json
import secrets
from asyncio.subprocess import PIPE, STDOUT, Process
from contextlib import suppress
from typing import Any, Final, Self

from tests.system.machine import ENVIRON, Machine, Ran

_PYTHON: Final = ("/usr/bin/python3", "-u", "-m")
_ENVIRON: Final = ("PYTHONPATH=/opt/stand-ins", "PYTHONDONTWRITEBYTECODE=1", "TERM=dumb")


async def add_users(machine: Machine, *names: str) -> None:
    """Give them accounts."""
    for name in names:
        await machine.do("useradd", "--create-home", "--shell", "/bin/sh", name)


async def run_as(machine: Machine, user: str, *command: str) -> Ran:
    """Run a command as somebody, without a session."""
    uid = (f"--uid={user}",) if user != "root" else ()
    return await machine.run(*uid, "--", *command)


def allow(machine: Machine, user: str, *actions: str) -> None:
    """Have the administrator's own polkit rule let somebody do these; before it boots."""
    name = f"10-{user}.rules"
    text = (
        "polkit.addRule(function (action, subject) {\n"
        f"    if (subject.user === {json.dumps(user)} &&\n"
        f"        {json.dumps(actions)}.indexOf(action.id) >= 0) {{\n"
        "        return polkit.Result.YES;\n"
        "    }\n"
        "    return polkit.Result.NOT_HANDLED;\n"
        "});\n"
    )
    machine.write(f"etc/polkit-1/rules.d/{name}", text)


class Program:
    """`async with Program(machine, "inhibitor", user=...) as it:`, a program of guest/ in it."""

    def __init__(self, machine: Machine, module: str, *arguments: str, user: str = "root") -> None:
        self._machine = machine
        self._command = (*_PYTHON, f"tests.system.guest.{module}", *arguments)
        self._user = user
        self._unit = f"somebody-{secrets.token_hex(4)}.service"
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        run = ("systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={self._unit}")
        environ = [f"--setenv={one}" for one in _ENVIRON]
        uid = [f"--uid={self._user}"] if self._user != "root" else []
        self._process = await asyncio.create_subprocess_exec(
            *(*self._machine.enter, *run, *environ, *uid, "--", *self._command),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            env=ENVIRON,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        process = self._running
        assert process.stdin is not None
        process.stdin.close()
        if kind is not None and self._machine.is_up:  # it may be stuck, too
            await self._machine.run("systemctl", "kill", "--signal=KILL", self._unit)
        await process.communicate()

    @property
    def _running(self) -> Process:
        assert self._process is not None
        return self._process

    async def tell(self, text: str) -> None:
        """Write to its standard input; what a program that is gone does not read is lost."""
        assert self._running.stdin is not None
        with suppress(ConnectionError):
            self._running.stdin.write(text.encode())
            await self._running.stdin.drain()

    async def hear(self) -> str:
        """Wait for some output; "" at its end."""
        assert self._running.stdout is not None
        return (await self._running.stdout.read(65536)).decode(errors="replace")

    async def ask(self, **order: Any) -> dict[str, Any] | None:
        """Give an order; the answer, None if it ended meanwhile."""
        await self.tell(json.dumps(order) + "\n")
        assert self._running.stdout is not None
        line = await self._running.stdout.readline()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            assert not self._machine.is_up or not line.startswith(b"Traceback"), line
            return None
        return answer
