"""The chaos run: seeds by option, and every seed that once found something."""

import pytest

from .chaos import ACCOUNTS, run
from .conftest import Tables

FOUND = {
    (
        22,
        90,
    ): "a reconnect that came first on its socket left the account without a subscription",
}
"""Seeds that found a fault of the client, with how many faults it took, and which it was."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the seeds that were asked for, and those that found something."""
    if "seed" in metafunc.fixturenames:
        seeds = str(metafunc.config.getoption("--chaos-seeds"))
        faults = metafunc.config.getoption("--chaos-faults")
        runs = [(int(seed), faults) for seed in seeds.split(",")]
        metafunc.parametrize(("seed", "faults"), dict.fromkeys([*runs, *FOUND]))


def test_chaos(seed: int, faults: int, tables: Tables) -> None:
    """No false off, no outage missed, every state as the simulator's, nothing left over."""
    verdict = run(seed, faults)
    tables.lines.append(verdict.describe())
    assert not verdict.wrong
    assert verdict.faults.total() == faults
    assert verdict.accounts == ACCOUNTS
    assert verdict.outages > faults / 10
