"""The monitor of these tests has what the client's has, and takes what that takes."""

import pytest

from custom_components.metaapi.api import Monitor

from .conftest import FakeMonitor
from .stand_ins import check, public

# What the integration does not use: for connections, for benchmarks and for scripts/doctor
UNUSED = {
    "connection_down",
    "connection_event",
    "connection_unauthorized",
    "connection_up",
    "diagnostics",
    "reconnect_form",
    "timing",
}


@pytest.mark.parametrize("name", sorted(public(Monitor) - UNUSED))
def test_is_like_the_real_one(name: str) -> None:
    """Whatever a monitor has for the integration, the fake has of its own, called in the same way."""
    check(Monitor, FakeMonitor, [name], "tests/conftest.py")
