"""Test the clock: it is over exactly at its deadline."""

from math import inf

from api.terminal.clock import Clock
import pytest


def test_a_clock_that_does_not_run_is_never_over() -> None:
    """A clock is never over before it is started or after it is stopped."""
    clock = Clock(60.0)
    assert clock.ends == inf
    assert not clock.over(1e9)
    clock.start(10.0)
    clock.stop()
    assert clock.ends == inf
    assert not clock.over(1e9)


@pytest.mark.parametrize(
    ("now", "over"), [(10.0, False), (69.9, False), (70.0, True), (500.0, True)]
)
def test_rule_and_deadline_are_one(now: float, *, over: bool) -> None:
    """A running clock is over exactly at its end and at any time after it."""
    clock = Clock(60.0, 10.0)
    assert clock.ends == 70.0
    assert clock.over(now) is over


def test_started_afresh() -> None:
    """Starting a running clock again moves its end."""
    clock = Clock(60.0, 10.0)
    clock.start(20.0)
    assert clock.ends == 80.0


def test_runs_while_a_condition_holds() -> None:
    """The clock runs from when the condition first held; a gap restarts it."""
    clock = Clock(60.0)
    for now in (10.0, 20.0):
        clock.run_while(True, now)
        assert clock.ends == 70.0
    clock.run_while(False, 30.0)
    assert clock.ends == inf
    clock.run_while(True, 40.0)
    assert clock.ends == 100.0
