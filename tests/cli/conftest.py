"""The bus of rebootmgrctl's tests."""

from collections.abc import Iterator

import pytest

from tests.fakes.dbus_daemon import DbusDaemon


@pytest.fixture
def bus() -> Iterator[DbusDaemon]:
    with DbusDaemon() as bus:
        yield bus
