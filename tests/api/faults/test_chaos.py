"""Run the chaos test with the seeds on the command line, and with those that found a bug."""

import pytest

from .chaos import ACCOUNTS, run
from .conftest import Tables

FOUND = {
    (
        22,
        90,
    ): "a reconnect that came first on its socket left the account without a subscription",
}
"""Seeds that found a bug of the client, with the number of faults, and a description."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Use the requested seeds, and those that found a bug."""
    if "seed" in metafunc.fixturenames:
        seeds = str(metafunc.config.getoption("--chaos-seeds"))
        faults = metafunc.config.getoption("--chaos-faults")
        runs = [(int(seed), faults) for seed in seeds.split(",")]
        metafunc.parametrize(("seed", "faults"), dict.fromkeys([*runs, *FOUND]))


def test_chaos(seed: int, faults: int, tables: Tables) -> None:
    """There are no false offs and missed outages, the states are right in the end, and nothing is left."""
    verdict = run(seed, faults)
    tables.lines.append(verdict.describe())
    assert not verdict.wrong
    assert verdict.faults.total() == faults
    assert verdict.accounts == ACCOUNTS
    assert verdict.outages > faults / 10
