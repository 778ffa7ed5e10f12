"""What an account shows: read off a table, the first row that holds. ARCHITECTURE.md has the same rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..model import AccountState, Status


@dataclass(slots=True, kw_only=True)
class Facts:
    """All that the table looks at."""

    token_refused: bool = False
    gone: bool = False
    """REST does not know the account."""
    out_of_sight: bool = False
    """We cannot see the account."""
    reconnecting: bool = False
    refusal: Status | None = None
    """Why an open socket lets us see nothing."""
    socket_open: bool = False
    deployed: bool | None = None
    terminal: bool | None = None
    broker: bool | None = None
    broker_away: bool = False
    """REST says that the terminal runs, but is not connected to its broker."""
    reason: Status = Status.UNKNOWN
    """Why the terminal is not on."""
    timeouts: int = 0


class Row(NamedTuple):
    """A row of the table: if it holds, this is the status."""

    holds: Callable[[Facts], bool]
    status: Callable[[Facts], Status]
    available: bool = False


def _always(status: Status) -> Callable[[Facts], Status]:
    """Return a status whatever the facts are."""
    return lambda facts: status


ROWS = (
    Row(lambda f: f.token_refused, _always(Status.TOKEN_REFUSED)),
    Row(lambda f: f.gone, _always(Status.NOT_FOUND)),
    Row(lambda f: f.out_of_sight and f.reconnecting, _always(Status.RECONNECTING)),
    Row(
        lambda f: f.out_of_sight and f.refusal is not None,
        lambda f: f.refusal or Status.NO_ANSWER,
    ),
    Row(lambda f: f.out_of_sight and f.socket_open, _always(Status.NO_ANSWER)),
    Row(lambda f: f.out_of_sight, _always(Status.NO_CONNECTION)),
    Row(
        lambda f: f.terminal is True and f.broker is False,
        _always(Status.BROKER_DISCONNECTED),
        available=True,
    ),
    Row(lambda f: f.terminal is True, _always(Status.CONNECTED), available=True),
    Row(lambda f: f.reconnecting, _always(Status.RECONNECTING), available=True),
    Row(lambda f: f.deployed is False, _always(Status.NOT_DEPLOYED), available=True),
    Row(
        lambda f: f.terminal is False and f.broker_away,
        _always(Status.BROKER_DISCONNECTED),
        available=True,
    ),
    Row(lambda f: True, lambda f: f.reason, available=True),
)


def show(facts: Facts) -> AccountState:
    """Return what the facts come to."""
    for row in ROWS:  # the last one always holds
        if row.holds(facts):
            break
    if not row.available:
        timeouts = 0 if facts.token_refused else facts.timeouts
        return AccountState(
            available=False, status=row.status(facts), timeouts=timeouts
        )
    return AccountState(
        terminal=facts.terminal,
        broker=facts.broker if facts.terminal else None,
        status=row.status(facts),
        timeouts=facts.timeouts,
    )
