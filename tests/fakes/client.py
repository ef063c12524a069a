"""rebootmgrctl, forked from a nursery that has loaded every verb."""

from collections.abc import Mapping
from typing import Final

from rebootmgr.cli.verb import MODULES
from tests.fakes.nursery import nursery

CLIENT: Final = "rebootmgr.cli.main"
_MODULES: Final = sorted({*MODULES.values(), "lock_server_afar"})


async def run(*arguments: str, env: Mapping[str, str]) -> tuple[int, str, str]:
    """Run it to its end: exit status, standard output and standard error."""
    client = nursery(CLIENT, *(f"rebootmgr.cli.{module}" for module in _MODULES))
    return await client.run(*arguments, env=env)
