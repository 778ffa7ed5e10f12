"""The monitor of these tests has what the client's has, and takes what that takes."""

from inspect import Parameter, iscoroutinefunction, signature

import pytest

from custom_components.metaapi.api import Monitor

from .conftest import FakeMonitor

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
USED = sorted(
    {name for name in dir(Monitor) if not name.startswith("_")} - UNUSED | {"__init__"}
)
OPEN = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def named(function: object) -> dict[str, tuple[object, object]]:
    """Return the kind and the default of each parameter that has a name of its own."""
    assert callable(function)
    return {
        name: (one.kind.description, one.default)
        for name, one in signature(function).parameters.items()
        if one.kind not in OPEN
    }


@pytest.mark.parametrize("name", USED)
def test_has_it(name: str) -> None:
    """Whatever a monitor has for the integration, the fake has of its own."""
    assert name in vars(FakeMonitor), (
        f"FakeMonitor in tests/conftest.py has no {name} of its own, and would run the"
        f" client's: add it there, or to UNUSED here if the integration does not use it"
    )


@pytest.mark.parametrize(
    "name", [one for one in USED if callable(getattr(Monitor, one))]
)
def test_takes_the_same(name: str) -> None:
    """A call of the monitor is one of the fake, with the same names and defaults."""
    real, fake = getattr(Monitor, name), getattr(FakeMonitor, name)
    assert named(fake) == named(real), (
        f"FakeMonitor.{name} in tests/conftest.py is not called like Monitor.{name}{signature(real)}"
    )
    assert iscoroutinefunction(fake) is iscoroutinefunction(real)
