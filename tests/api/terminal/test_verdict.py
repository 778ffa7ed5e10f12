"""What an account shows: each row of the table, and that it comes before the later ones."""

from dataclasses import replace
from typing import Any

from api.model import AccountState, Status
from api.terminal.verdict import ROWS, Facts, show
import pytest

ALL: dict[str, Any] = {
    "token_refused": True,
    "gone": True,
    "out_of_sight": True,
    "reconnecting": True,
    "refusal": Status.FORBIDDEN,
    "socket_open": True,
    "terminal": True,
    "broker": False,
    "broker_away": True,
    "deployed": False,
    "reason": Status.SILENT,
    "timeouts": 3,
}
"""Facts for which every row holds that can; each row takes away what the rows before it look at."""

TABLE: tuple[tuple[dict[str, Any], AccountState], ...] = (
    ({}, AccountState(available=False, status=Status.TOKEN_REFUSED)),
    (
        {"token_refused": False},
        AccountState(available=False, status=Status.NOT_FOUND, timeouts=3),
    ),
    (
        {"gone": False},
        AccountState(available=False, status=Status.RECONNECTING, timeouts=3),
    ),
    (
        {"reconnecting": False},
        AccountState(available=False, status=Status.FORBIDDEN, timeouts=3),
    ),
    (
        {"refusal": None},
        AccountState(available=False, status=Status.NO_ANSWER, timeouts=3),
    ),
    (
        {"socket_open": False},
        AccountState(available=False, status=Status.NO_CONNECTION, timeouts=3),
    ),
    (
        {"out_of_sight": False, "reconnecting": True},
        AccountState(
            terminal=True, broker=False, status=Status.BROKER_DISCONNECTED, timeouts=3
        ),
    ),
    (
        {"broker": True},
        AccountState(terminal=True, broker=True, status=Status.CONNECTED, timeouts=3),
    ),
    (
        {"terminal": False},
        AccountState(terminal=False, status=Status.RECONNECTING, timeouts=3),
    ),
    (
        {"reconnecting": False},
        AccountState(terminal=False, status=Status.NOT_DEPLOYED, timeouts=3),
    ),
    (
        {"deployed": None},
        AccountState(terminal=False, status=Status.BROKER_DISCONNECTED, timeouts=3),
    ),
    (
        {"broker_away": False},
        AccountState(terminal=False, status=Status.SILENT, timeouts=3),
    ),
)


def facts_of(row: int) -> Facts:
    """Return facts for which a row holds, and none before it."""
    facts = Facts(**ALL)
    for changes, _ in TABLE[: row + 1]:
        facts = replace(facts, **changes)
    return facts


@pytest.mark.parametrize("row", range(len(TABLE)))
def test_row(row: int) -> None:
    """It is the first that holds, and says what is shown."""
    facts = facts_of(row)
    assert [one.holds(facts) for one in ROWS[: row + 1]] == [False] * row + [True]
    assert show(facts) == TABLE[row][1]


def test_every_row_is_tested() -> None:
    """A new one cannot be forgotten."""
    assert len(TABLE) == len(ROWS)


def test_nothing_is_known() -> None:
    """At the start."""
    assert show(Facts()) == AccountState()
