"""Test that the fake monitor has the members and the signatures of the client's monitor."""

import pytest

from custom_components.metaapi.api import Monitor

from .conftest import FakeMonitor
from .stand_ins import check, public

# Members that the integration does not use, for connections, benchmarks and scripts/doctor
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
    """The fake defines all members that the integration uses, with the same parameters."""
    check(Monitor, FakeMonitor, [name], "tests/conftest.py")
