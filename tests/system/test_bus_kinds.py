"""What a real bus says of a service that is not there, on each of the two that Linux hosts have."""

from typing import Final

from tests.system.machine import Machine
from tests.system.processes import RPM_OSTREED

WORDS: Final = {"dbus-broker": "Could not activate remote peer", "dbus-daemon": "masked"}


async def test_a_masked_rpm_ostreed_is_unknown_in_the_words_of_the_bus_and_has_its_cure(
    machine: Machine, bus_kind: str
) -> None:
    machine.use_bus(bus_kind)
    machine.configure('updates.source = "rpm-ostree"\n')  # `auto` takes what is there
    unit = machine.root / "etc/systemd/system" / RPM_OSTREED
    content = unit.read_text()
    unit.unlink()
    unit.symlink_to("/dev/null")
    await machine.boot()
    status = await machine.until(  # the cure comes after a minute
        lambda status: any("unmask" in one["detail"] for one in status["blockers"])
    )
    [blocker] = status["blockers"]
    assert blocker["reason"] == "state_unknown"
    assert WORDS[bus_kind] in blocker["detail"]
    unit.unlink()
    unit.write_text(content)
    await machine.do("systemctl", "daemon-reload")
    await machine.until_state("idle")
    await machine.stage("42.2")
    await machine.until_rebooted()
