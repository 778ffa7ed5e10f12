"""A terminal with a clock of its own, for the tests of the state machine."""

from typing import Any, NamedTuple, Self

from api.errors import (
    MetaApiError,
    TerminalTimeoutError,
    TooManyRequestsError,
    ValidationError,
)
from api.terminal.terminal import AccountState, Action, Status, Terminal
from api.timing import Timing

ANY = (None, None)
ONE = (None, "ps-1")
TWO = (None, "ps-2")


TIMING = Timing(
    silence=60.0,
    silence_refuted=90.0,
    grace=9.0,
    round=60.0,
    unknown=90.0,
    blind=60.0,
    subscribe_first=3.0,
    subscribe_max=300.0,
    refused_floor=300.0,
    limit_first=60.0,
    deployed_lately=180.0,
    rest_again=60.0,
    rest_period=300.0,
    rest_wait=15.0,
    rest_believed=600.0,
)
"""What the timelines of these tests are written for; `test_timing.py` holds what the defaults are."""


class View(NamedTuple):
    """What tests of the terminal compare of a state: all that its verdicts decide, and nothing that is added to it."""

    available: bool = True
    terminal: bool | None = None
    broker: bool | None = None
    status: Status = Status.UNKNOWN
    timeouts: int = 0

    @classmethod
    def of(cls, state: AccountState) -> Self:
        """Return that of a state."""
        return cls(*(getattr(state, name) for name in cls._fields))


class Bench:
    """A terminal with a clock of its own, whose actions are collected."""

    def __init__(self, *zones: str, was_on: bool = False) -> None:
        """Start at time zero."""
        self.now = 0.0
        self.away: set[str] = set()
        """Zones that answer every subscribe at once: the terminal is away."""
        self.pongs = True
        """Whether a ping is answered at once."""
        self.sent: list[tuple[float, Action, str | None]] = []
        self.machine = Terminal(
            zones or ("a",),
            0.0,
            timing=TIMING,
            was_on=was_on,
            jitter=lambda low, high: (low + high) / 2,
        )

    @property
    def state(self) -> AccountState:
        """Return the state shown now."""
        return self.machine.state

    @property
    def view(self) -> View:
        """Return what is compared of the state shown now."""
        return View.of(self.state)

    @property
    def terminal(self) -> bool | str | None:
        """Return the terminal as an entity would show it."""
        return self.state.terminal if self.state.available else "unavailable"

    def to(self, now: float) -> None:
        """Move the clock, stopping wherever the terminal wants to look at it."""
        assert now >= self.now
        while self.machine.deadline <= now:
            step = max(self.machine.deadline, self.now)
            self.now = step
            self.machine.tick(step)
            self._collect()
            assert self.machine.deadline > step, (
                "the terminal asks for the same moment again"
            )
        self.now = now
        self.machine.tick(now)
        self._collect()

    def _collect(self) -> None:
        actions, self.machine.pending = self.machine.pending, []
        for action, zone in actions:
            self.sent.append((self.now, action, zone))
            if zone is None:
                continue
            if action is Action.SUBSCRIBE and zone in self.away:
                self.answer(TerminalTimeoutError("away"), zone)
            if action is Action.PROBE and self.pongs:
                self.pong(zone)

    def subscribes(self, zone: str = "a") -> list[float]:
        """Return when subscribes went out to a zone."""
        return [
            when
            for when, action, name in self.sent
            if action is Action.SUBSCRIBE and name == zone
        ]

    def probes(self) -> list[float]:
        """Return when pings of our own went out."""
        return [when for when, action, _ in self.sent if action is Action.PROBE]

    def questions(self) -> list[float]:
        """Return when REST was asked."""
        return [when for when, action, _ in self.sent if action is Action.ASK_REST]

    def pong(self, zone: str = "a", sent_at: float | None = None) -> None:
        """Answer a ping, one that was sent just now if nothing else is said."""
        self.machine.probe_answered(
            zone, self.now if sent_at is None else sent_at, self.now
        )
        self._collect()

    def up(self, zone: str = "a", session: str = "s1") -> None:
        """Open a zone's socket; the subscribe goes out at once."""
        self.machine.socket_up(zone, session, self.now)
        self._collect()

    def down(self, zone: str = "a") -> None:
        """Lose a zone's socket."""
        self.machine.socket_down(zone, self.now)
        self._collect()

    def answer(
        self,
        error: MetaApiError | None = None,
        zone: str = "a",
        retry_after: float | None = None,
    ) -> None:
        """Answer the subscribe in flight."""
        self.machine.subscribe_answered(zone, self.now, error, retry_after)
        self._collect()

    def authenticated(
        self,
        key: tuple[int | None, str | None] = ONE,
        session: str | None = "s1",
        zone: str = "a",
    ) -> bool:
        """Let an `authenticated` arrive."""
        counted = self.machine.authenticated(zone, key, session, self.now)
        self._collect()
        return counted

    def status(
        self,
        key: tuple[int | None, str | None] = ONE,
        *,
        zone: str = "a",
        connected: bool | None = True,
        authenticated: bool | None = True,
    ) -> None:
        """Let a `status` arrive."""
        self.machine.status(
            zone, key, connected=connected, authenticated=authenticated, now=self.now
        )
        self._collect()

    def disconnected(
        self, key: tuple[int | None, str | None] = ONE, zone: str = "a"
    ) -> None:
        """Let a `disconnected` arrive."""
        self.machine.disconnected(zone, key, self.now)
        self._collect()

    def facts(self, **said: Any) -> None:
        """Let REST speak."""
        self.machine.facts(self.now, **said)
        self._collect()

    def connection(self, status: str) -> None:
        """Let REST say how a deployed account is connected, by a read that began just now."""
        self.facts(deployed=True, connection=status, read_since=self.now)

    def come_up(self, zone: str = "a", session: str = "s1") -> None:
        """Go all the way to a terminal that is on."""
        self.up(zone, session)
        self.answer(zone=zone)
        self.authenticated(zone=zone, session=session)

    def renew(self, session: str = "s2", zone: str = "a") -> None:
        """Lose a zone's socket, and open another at once."""
        self.down(zone)
        self.up(zone, session)

    def live(self, until: float, zone: str = "a") -> None:
        """Let time pass while a terminal says every 10 s that it is there."""
        while self.now < until:
            self.to(self.now + 10)
            self.status(zone=zone)

    def answer_until(self, until: float, error: MetaApiError | None) -> None:
        """Let time pass while the answer comes every second, whether it was asked for or not."""
        while self.now < until:
            self.to(self.now + 1)
            self.answer(error)


AWAY = TerminalTimeoutError("away")
QUOTA = TooManyRequestsError(
    "enough", metadata={"type": "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER"}
)
NONE_DEPLOYED = ValidationError("you have no accounts deployed yet", details={})
BAD = ValidationError("what", details=[{"parameter": "accountId"}])


def asked(bench: Bench, until: float) -> None:
    """Let time pass while every zone says that nobody is there."""
    bench.away = set(bench.machine._places)
    for zone in bench.away:
        if bench.machine._places[zone].subscription.in_flight:
            bench.answer(zone=zone)
    bench.to(until)
