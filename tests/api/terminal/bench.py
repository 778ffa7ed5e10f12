"""A test bench for the state machine: a terminal with its own clock."""

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
"""The durations that these tests are written for; `test_timing.py` checks the defaults."""


class View(NamedTuple):
    """The part of a state that the tests compare: everything that the verdict table decides."""

    available: bool = True
    terminal: bool | None = None
    broker: bool | None = None
    status: Status = Status.UNKNOWN
    timeouts: int = 0

    @classmethod
    def of(cls, state: AccountState) -> Self:
        """Return the view of a state."""
        return cls(*(getattr(state, name) for name in cls._fields))


class Bench:
    """A terminal with its own clock that collects the actions it requests."""

    def __init__(self, *zones: str, was_on: bool = False) -> None:
        """Start at time zero."""
        self.now = 0.0
        self.away: set[str] = set()
        """Zones that answer every subscribe immediately with a `TimeoutError`."""
        self.pongs = True
        """Whether pings are answered immediately."""
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
        """Return the compared part of the state shown now."""
        return View.of(self.state)

    @property
    def terminal(self) -> bool | str | None:
        """Return what an entity would show for the terminal."""
        return self.state.terminal if self.state.available else "unavailable"

    def to(self, now: float) -> None:
        """Move the clock forward, stopping at every deadline of the terminal."""
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
        """Return the times at which subscribes were sent to a zone."""
        return [
            when
            for when, action, name in self.sent
            if action is Action.SUBSCRIBE and name == zone
        ]

    def probes(self) -> list[float]:
        """Return the times at which our own pings were sent."""
        return [when for when, action, _ in self.sent if action is Action.PROBE]

    def questions(self) -> list[float]:
        """Return the times at which REST was asked."""
        return [when for when, action, _ in self.sent if action is Action.ASK_REST]

    def pong(self, zone: str = "a", sent_at: float | None = None) -> None:
        """Answer a ping; by default one that was sent just now."""
        self.machine.probe_answered(
            zone, self.now if sent_at is None else sent_at, self.now
        )
        self._collect()

    def up(self, zone: str = "a", session: str = "s1") -> None:
        """Open a zone's socket, which sends the subscribe immediately."""
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
        """Deliver an `authenticated` event; return whether it counted."""
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
        """Deliver a `status` event."""
        self.machine.status(
            zone, key, connected=connected, authenticated=authenticated, now=self.now
        )
        self._collect()

    def disconnected(
        self, key: tuple[int | None, str | None] = ONE, zone: str = "a"
    ) -> None:
        """Deliver a `disconnected` event."""
        self.machine.disconnected(zone, key, self.now)
        self._collect()

    def facts(self, **said: Any) -> None:
        """Deliver facts read from REST."""
        self.machine.facts(self.now, **said)
        self._collect()

    def connection(self, status: str) -> None:
        """Deliver the connection state of a deployed account, from a REST read that began just now."""
        self.facts(deployed=True, connection=status, read_since=self.now)

    def come_up(self, zone: str = "a", session: str = "s1") -> None:
        """Open the socket, accept the subscribe and authenticate the terminal."""
        self.up(zone, session)
        self.answer(zone=zone)
        self.authenticated(zone=zone, session=session)

    def renew(self, session: str = "s2", zone: str = "a") -> None:
        """Replace a zone's socket with a new one."""
        self.down(zone)
        self.up(zone, session)

    def live(self, until: float, zone: str = "a") -> None:
        """Advance the clock while the terminal sends a `status` every 10 s."""
        while self.now < until:
            self.to(self.now + 10)
            self.status(zone=zone)

    def answer_until(self, until: float, error: MetaApiError | None) -> None:
        """Advance the clock, answering every second whether or not a subscribe is in flight."""
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
    """Advance the clock while every zone answers that the terminal is away."""
    bench.away = set(bench.machine._places)
    for zone in bench.away:
        if bench.machine._places[zone].subscription.in_flight:
            bench.answer(zone=zone)
    bench.to(until)
