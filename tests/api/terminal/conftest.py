"""Fixtures: terminals at time zero."""

import pytest

from .bench import Bench


@pytest.fixture
def bench() -> Bench:
    """Return a terminal with one zone, at time zero."""
    return Bench()


@pytest.fixture
def pair() -> Bench:
    """Return a terminal that is shown by both of its zones, at time zero."""
    bench = Bench("a", "b")
    bench.come_up("a")
    bench.come_up("b")
    return bench
