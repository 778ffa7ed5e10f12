"""Test the verdict table: what each row shows, and that it takes precedence over later rows."""

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
"""Facts that match as many rows as possible; each entry of `TABLE` clears what its predecessor matches."""

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
    """Return facts that match a row and none before it."""
    facts = Facts(**ALL)
    for changes, _ in TABLE[: row + 1]:
        facts = replace(facts, **changes)
    return facts


@pytest.mark.parametrize("row", range(len(TABLE)))
def test_row(row: int) -> None:
    """Each row is the first to match its facts, and determines what is shown."""
    facts = facts_of(row)
    assert [one.holds(facts) for one in ROWS[: row + 1]] == [False] * row + [True]
    assert show(facts) == TABLE[row][1]


def test_every_row_is_tested() -> None:
    """`TABLE` has an entry for every row, so a new row cannot be forgotten."""
    assert len(TABLE) == len(ROWS)


def test_nothing_is_known() -> None:
    """Without any facts the default state is shown."""
    assert show(Facts()) == AccountState()
