"""Test the state machine of one account against a model of its intended behavior, under random events.

The model is written from the design's wording ("on only at `authenticated`", "off needs evidence",
"unavailable means that we cannot see", "unknown exists only until the first round decides"), not from
the code. It keeps a log for each zone and derives everything from it. For the model time passes
continuously, while the terminal looks at its clock only when it is called. After every event, and at every
deadline of the terminal, the four facts shown are compared (available, terminal, broker, status), and so
are all subscribes and pings that are sent, including their exact time.

Where the design leaves room, the model does what the terminal does:

- An event that names a host only in part refers to every host that it can mean, unless one has exactly that
  name. The missing part of a host's name is learned from later events.
- Nothing that depends on a deadline is decided until each socket concerned has answered a ping that was sent
  after the deadline.
- A round starts with the first subscribe on a socket. It restarts with the first subscribe after the zone lost
  its last host, and with the first one after an error that says nothing about the terminal. A missing answer is
  not such an error: a zone without any answer during a whole round is mute. At its end, a round waits for a
  subscribe in flight until 9 s after it was sent.
- The zones where the account was last up decide: each of them must have answered. If it was not up in any zone,
  one is enough; but a zone whose round is still running, or whose socket has been down for less than 60 s, is
  waited for, and an exhausted quota or a `ForbiddenError` in any zone prevents the decision.
- REST decides where the answers are not conclusive. It is asked at once about `TimeoutError` and
  `ValidationError`, and after 30 s about a mute zone; at most once a minute and at least every 5 min. Its answer
  is awaited for 15 s.
- A terminal that is on but that no socket has shown for 120 s goes out of sight, whatever else is received. If
  another zone shows the account, hosts that only a lost socket showed are forgotten after 60 s or when the zone's
  round ends. An `authenticated` that says it is the only terminal removes them as well.
- A `status` with `authenticated: false` from an unknown host is evidence only if the account has a single zone.
- A refusal and the floor that follows it belong to the account in that zone and outlive the socket. A move to
  another server lifts both, `authenticated` lifts only the refusal, and news from REST lifts only the floor: once
  an hour, and the rest of that floor is added to the one that the next answer may bring.
- An answer about the terminal shows that the open socket has a subscription, until a refusal says that it has none.
  So does any event of the account except `authenticated`, which may belong to a reconnect. Without a subscription
  no `status` would follow. An `authenticated` then leads to another subscribe in due time, a refusal stays, and
  silence only means that the account is out of sight. An event that shows a subscription cancels a subscribe that
  was planned meanwhile.
- An error to a subscribe changes nothing if the account is subscribed and authenticated on this very socket.
- An immediate subscribe (after a foreign session, or a `status` of a host that is not ours) happens once between
  two planned subscribes, even if one is unanswered, which it then replaces. It never shortens a floor.
- A user's reconnect leads to another subscribe after a refusal, once the floor is over.
- A subscribe that the user's quota holds back counts as refused because of it, until it is answered. This holds if
  the socket is open, a subscribe is due, the socket has received neither an answer about the terminal nor an event
  of the account (except `authenticated`, which may belong to a reconnect), and there was no earlier refusal.
- The extra socket of a reconnect speaks for a zone, even if that zone's own socket is down. Its events have no
  session. An event with a session waits for the socket of that session.
- An account that is removed from a zone is judged by the rounds of the remaining zones.
- While REST says that the account is not deployed, it is never out of sight: REST sees it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import copy
from dataclasses import dataclass, field
from functools import partial
import itertools
from math import inf
import os
from typing import Any, override

from api.errors import (
    ConnectionLostError,
    ForbiddenError,
    InternalError,
    MetaApiError,
    NoResponseError,
    NotAuthenticatedError,
    NotConnectedError,
    NotFoundError,
    NotSynchronizedError,
    RequestError,
    TerminalTimeoutError,
    TooManyPendingError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from api.model import Status
from api.terminal.terminal import Action, Terminal
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from .bench import TIMING, View

# -- the durations of the design, in seconds -------------------------------------------------------

SILENCE = 60.0
ROUND = 60.0
UNKNOWN_AT_MOST = 90.0
BLIND = 60.0
UNSEEN_AT_MOST = 120.0
APART = 1.0
FLOOR = 300.0
LIMIT = 60.0
GRACE = 9.0
REFUTED = 90.0
NEWS = 180.0
REST_APART = 60.0
REST_PERIOD = 300.0
REST_WAIT = 15.0
REST_BELIEVED = 600.0
FIRST_PAUSE = 3.0
LONGEST_PAUSE = 300.0
HOUR = 3600.0

ZONES = ("a", "b", "c")

BROKER_AWAY = "DISCONNECTED_FROM_BROKER"

type Key = tuple[int | None, str | None]


class OddError(RequestError):
    """An error that no table contains."""


@dataclass(frozen=True)
class Said:
    """The meaning of an answer to a subscribe."""

    error: MetaApiError | None
    about: str = ""
    """Its meaning: the terminal is `awaited` or `away`, `nobody` is deployed, or there was no answer (`none`)."""
    refusal: Status | None = None
    floor: str = ""
    passing: bool = False

    @property
    def counts(self) -> bool:
        """Return whether it counts as an answer in a round."""
        return self.about in {"awaited", "away", "nobody"}


ANSWERS = {
    "accepted": Said(None, "awaited"),
    "TimeoutError": Said(TerminalTimeoutError("away"), "away"),
    "NotAuthenticated": Said(NotAuthenticatedError("early"), "awaited"),
    "NoneDeployed": Said(
        ValidationError("none", details={}), "nobody", floor="fixed", passing=True
    ),
    "NoResponse": Said(NoResponseError("none"), "none"),
    "Quota": Said(
        TooManyRequestsError(
            "full", metadata={"type": "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER"}
        ),
        refusal=Status.QUOTA_EXHAUSTED,
        floor="limit",
    ),
    "TooManyRequests": Said(TooManyRequestsError("slow down"), floor="rate"),
    "Forbidden": Said(
        ForbiddenError("no"), refusal=Status.FORBIDDEN, floor="fixed", passing=True
    ),
    "NotFound": Said(
        NotFoundError("who"), refusal=Status.NOT_FOUND, floor="fixed", passing=True
    ),
    "Bad": Said(
        ValidationError("what", details=["what"]),
        refusal=Status.NO_ANSWER,
        floor="fixed",
    ),
    "Unauthorized": Said(UnauthorizedError("you"), floor="fixed", passing=True),
    "NotSynchronized": Said(NotSynchronizedError("early")),
    "Internal": Said(InternalError("fault")),
    "ConnectionLost": Said(ConnectionLostError("lost")),
    "NotConnected": Said(NotConnectedError("none")),
    "TooManyPending": Said(TooManyPendingError("full")),
    "odd": Said(OddError("odd")),
}

HELD_BACK = Said(None, refusal=Status.QUOTA_EXHAUSTED)
"""Takes the place of an answer while the user's quota holds back the subscribe."""


# -- the model -------------------------------------------------------------------------------------


@dataclass
class Host:
    """A terminal process that MetaApi showed as authenticated."""

    instance: int | None
    name: str | None
    seen: float
    socket: int
    """The number of the zone's socket that last showed it."""
    broker: bool | None = None
    suspected: float | None = None
    """When it was first suspected because of its silence."""
    renewed: bool = True
    """False for a host from before a reconnect, until it shows itself again."""

    @property
    def key(self) -> Key:
        """Return the known part of its name."""
        return (self.instance, self.name)

    def can_be(self, key: Key) -> bool:
        """Return whether an event with this name can mean this host."""
        return all(
            None in (mine, named) or mine == named
            for mine, named in zip(self.key, key, strict=True)
        )


@dataclass
class Zone:
    """A zone and the log of what happened on its socket."""

    changed: float
    """When the socket last opened or closed."""
    name: str
    up: bool = False
    socket: int = 0
    session: str = ""
    hosts: list[Host] = field(default_factory=list)
    ever: bool = False
    log: list[tuple[float, str, Said | None]] = field(default_factory=list)
    last_said: Said | None = None
    """The last refusal, on this socket or an earlier one."""
    replies: list[Said] = field(default_factory=list)
    """All answers since the account was last up here."""
    no_sooner: float = -inf
    lifted_at: float = -inf
    left: float = 0.0
    """The rest of the floor that was lifted."""
    passing: bool = False
    row_of_limits: int = 0
    heard_at: float = -inf
    read_until: float = -inf
    """When the last answered ping was sent."""
    early: list[tuple[Key, str, bool]] = field(default_factory=list)
    hears: bool = False
    """Whether this socket received anything about the account except `authenticated`."""
    sent_at: float = -inf
    due: float | None = None
    pace: float = FIRST_PAUSE
    urge: str = ""
    in_flight: bool = False
    probing: bool = False
    probed_at: float = 0.0

    def named(self, key: Key) -> list[Host]:
        """Return the hosts that an event refers to."""
        exact = [host for host in self.hosts if host.key == key]
        return exact or [host for host in self.hosts if host.can_be(key)]

    @property
    def ours(self) -> list[Host]:
        """Return the hosts that the current socket showed."""
        return [host for host in self.hosts if host.socket == self.socket]

    def learn(self, host: Host, key: Key) -> None:
        """Complete a host's name unless another host already has that name."""
        full = (
            host.instance if key[0] is None else key[0],
            host.name if key[1] is None else key[1],
        )
        if all(other.key != full for other in self.hosts):
            host.instance, host.name = full

    @property
    def refusal(self) -> Status | None:
        """Return the reason why subscribes are refused here."""
        return self.last_said.refusal if self.last_said else None

    @property
    def timeouts(self) -> int:
        """Return the number of consecutive answers that said the terminal is away."""
        away = ANSWERS["TimeoutError"]
        in_a_row = itertools.takewhile(lambda said: said is away, self.replies[::-1])
        return len(list(in_a_row))

    @property
    def round_started(self) -> float | None:
        """Return when the first subscribe of the current round was sent."""
        start = None
        for when, what, said in self.log:
            if said and not said.about:
                start = None
            elif what == "sent" and start is None:
                start = when
        return start

    @property
    def round_said(self) -> set[str]:
        """Return the answers of the current round."""
        found: set[str] = set()
        started = False
        for _, what, said in self.log:
            if said and not said.about:
                started = False
            elif what == "sent" and not started:
                started, found = True, set()
            elif said and said.counts:
                found.add(said.about)
        return found if started else set()

    @property
    def round_ends(self) -> float | None:
        """Return when the current round decides, provided that all earlier events are read."""
        if (start := self.round_started) is None:
            return None
        ends = start + ROUND
        return max(ends, self.sent_at + GRACE) if self.in_flight else ends

    @property
    def settled(self) -> bool:
        """Return whether the current round can be decided."""
        ends = self.round_ends
        return self.up and ends is not None and self.read_until >= ends

    @property
    def says_away(self) -> bool:
        """Return whether all answers say that the terminal, or its broker, does not answer."""
        return "away" in self.round_said and "awaited" not in self.round_said


class Model:
    """What must be shown for the account according to the design."""

    def __init__(self, zones: tuple[str, ...], jitter: float) -> None:
        """Start at time zero."""
        self.now = 0.0
        self.zones = {name: Zone(0.0, name) for name in zones}
        self.region_known = True
        self.was_up_in: set[str] = set()
        self.verdict: bool | None = None
        self.why = Status.UNKNOWN
        self.ever_on = False
        self.blind = False
        self.unseen_since: float | None = None
        self.deployed: bool | None = None
        self.exists = True
        self.connection: str | None = None
        self.read_began = -inf
        self.asked_at = -inf
        self.outdated_at: float | None = None
        self.news_at = -inf
        self.alone: str | None = None
        self.two_terminals = False
        self.patience = SILENCE
        self.token_refused = False
        self.hold_until = 0.0
        self.reconnecting = False
        self.jitter = jitter
        self.pass_time(0.0)

    # what is shown

    def shown(self) -> View:
        """Return what the design shows to a user now."""
        if self.token_refused:
            return View(available=False, status=Status.TOKEN_REFUSED)
        timeouts = min(
            (zone.timeouts for zone in self.zones.values() if zone.up), default=0
        )
        out_of_sight = partial(View, available=False, timeouts=timeouts)
        if not self.exists:
            return out_of_sight(status=Status.NOT_FOUND)
        if self.blind:
            return out_of_sight(status=self.why_blind())
        if not self.verdict:
            status = (
                Status.RECONNECTING
                if self.reconnecting
                else Status.NOT_DEPLOYED
                if self.deployed is False
                else Status.BROKER_DISCONNECTED
                if self.verdict is False and self.broker_away
                else self.why
            )
            return View(terminal=self.verdict, status=status, timeouts=timeouts)
        brokers = {host.broker for zone in self.zones.values() for host in zone.hosts}
        broker = next((fact for fact in (True, False) if fact in brokers), None)
        if self.broker_away:
            broker = False
        return View(
            terminal=True,
            broker=broker,
            status=Status.BROKER_DISCONNECTED if broker is False else Status.CONNECTED,
            timeouts=timeouts,
        )

    def why_blind(self) -> Status:
        """Return why it is out of sight: a reconnect, a refusal, no answer or no connection."""
        if self.reconnecting:
            return Status.RECONNECTING
        up = [zone for zone in self.zones.values() if zone.up]
        refusals = [zone.refusal for zone in up if zone.refusal]
        if refusals:
            return refusals[0]
        return Status.NO_ANSWER if up else Status.NO_CONNECTION

    @property
    def is_off(self) -> bool:
        """Return whether the terminal is known to be off."""
        return self.verdict is False and not self.blind

    @property
    def any_ours(self) -> bool:
        """Return whether an open socket shows a terminal."""
        return any(zone.ours for zone in self.zones.values())

    @property
    def where_up(self) -> list[Zone]:
        """Return the zones where the account was last up."""
        return [zone for name, zone in self.zones.items() if name in self.was_up_in]

    @property
    def broker_away(self) -> bool:
        """Return whether REST gives a reason for each `TimeoutError`."""
        return not self.any_ours and any(
            zone.says_away and self.rest_says(zone.round_started) == BROKER_AWAY
            for zone in self.where_up or self.zones.values()
        )

    def rest_says(self, since: float | None) -> str | None:
        """Return what REST says, if that read began after `since`."""
        recent = self.now < self.read_began + REST_BELIEVED
        return (
            self.connection
            if since is not None and recent and self.read_began >= since
            else None
        )

    # time

    def pass_time(self, now: float) -> None:
        """Advance the clock; apply everything that time alone changes, in order."""
        self.now = now
        self.judge_silences()
        self.look_for_others()
        if now < self.hold_until:
            for zone in filter(self.is_held_back, self.zones.values()):
                zone.last_said = HELD_BACK
        self.note_unseen()
        for _ in range(MOST_AT_ONCE):
            coming = [
                (when, order, happen)
                for order, (when, happen) in enumerate(self.brings_time())
                if when <= now
            ]
            if not coming:
                return
            min(coming, key=lambda one: one[:2])[2]()
            self.note_unseen()
        raise AssertionError(f"the model does not settle: {coming}")

    def note_unseen(self) -> None:
        """Record since when nothing has shown a terminal that is on."""
        if not self.verdict or self.any_ours or self.broker_away:
            self.unseen_since = None
        elif self.unseen_since is None:
            self.unseen_since = self.now

    def judge_silences(self) -> None:
        """Decide about silent hosts as far as events are read."""
        for zone in self.zones.values():
            if not zone.up:
                continue
            gone = [
                host
                for host in zone.ours
                if host.suspected is not None
                and zone.read_until >= host.suspected + GRACE
            ]
            if gone:
                self.gone(zone, gone, Status.SILENT, 0.0)
            silent = [
                host
                for host in zone.ours
                if host.suspected is None
                and zone.read_until >= host.seen + self.patience
            ]
            if silent and not zone.hears:
                self.lose_sight(zone, silent)
            elif silent and not self.reconnecting:
                for host in silent:
                    host.suspected = self.now
                for other in self.zones.values():
                    if not other.in_flight:
                        other.due = self.now

    def look_for_others(self) -> None:
        """Resume subscribing in the other zones when the only terminal is not well."""
        if self.alone is None:
            return
        zone = self.zones.get(self.alone)
        if zone is None or not (
            zone.up and zone.ours and all(host.suspected is None for host in zone.ours)
        ):
            self.alone = None
            self.ask_everywhere(lambda other: other is not zone and not other.ours)

    def is_held_back(self, zone: Zone) -> bool:
        """Return whether a due subscribe is held back without any answer so far."""
        wants = zone.due is not None and self.could_subscribe(zone)
        return wants and not (zone.in_flight or zone.ours or zone.hears or zone.refusal)

    def brings_time(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """Yield the changes that the clock alone causes, and their times."""
        if self.any_ours:
            for zone in self.zones.values():
                if zone.settled:
                    ends = -inf
                else:
                    ends = inf if zone.up else zone.changed + BLIND
                if len(zone.ours) < len(zone.hosts):
                    yield ends, partial(self.forget_strangers, zone)
        elif not self.is_off:
            yield from self.rounds_bring()
        if self.blind:
            return
        if self.verdict is None:
            yield UNKNOWN_AT_MOST, self.go_blind
        if self.deployed is not False:
            yield self.blind_from(), self.go_blind
            if self.unseen_since is not None:
                ends = self.unseen_since + UNSEEN_AT_MOST
                read = [zone.read_until for zone in self.zones.values() if zone.up]
                if all(until >= ends for until in read):
                    yield ends, self.go_blind

    def rounds_bring(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """Yield the decisions of the rounds."""
        judges = self.where_up or self.witnesses()
        if not judges or not self.region_known:
            return
        refused = self.deployed is not False and self.blind_from() <= self.now
        if refused and self.verdict is False:
            return  # out of sight, whatever the round says
        if not all(zone.settled for zone in judges):
            return
        said = set[str]().union(*(zone.round_said for zone in judges))
        mute = any(not zone.round_said for zone in judges)
        nobody = said == {"nobody"}
        away = "away" in said and "awaited" not in said
        why = Status.DISCONNECTED if self.ever_on else Status.NEVER_AUTHENTICATED
        off = partial(self.off, why)
        if not (mute or nobody or away):
            yield -inf, off
            return
        since = max(zone.round_started or 0.0 for zone in judges)
        rest = self.rest_says(since)
        if rest is None and self.asked_at < since:
            return
        when = -inf if rest else self.asked_at + REST_WAIT
        if away and rest == BROKER_AWAY:
            if not self.verdict or self.blind:
                yield when, off
        elif mute or nobody:
            if rest == "DISCONNECTED":
                yield when, off
            elif rest:
                if not self.blind:
                    yield when, self.go_blind
            elif said and not (mute and self.where_up):
                yield when, off
        else:
            yield when, off

    def witnesses(self) -> list[Zone]:
        """Return the zones whose rounds decide if the account was up nowhere; none while one is waited for."""
        for zone in self.zones.values():
            if not zone.up:
                if not self.ever_on and self.now < zone.changed + BLIND:
                    return []
                continue
            if zone.refusal in {Status.QUOTA_EXHAUSTED, Status.FORBIDDEN}:
                return []
            to_begin = (
                zone.sent_at == -inf
                and zone.due is not None
                and self.now >= zone.no_sooner
            )
            if (zone.round_started is not None or to_begin) and not zone.settled:
                return []
        return [zone for zone in self.zones.values() if zone.settled]

    def moments(self) -> Iterator[float]:
        """Yield the times at which a duration of the design ends."""
        yield UNKNOWN_AT_MOST
        yield self.hold_until
        yield self.asked_at + REST_WAIT
        yield self.asked_at + REST_APART
        yield self.read_began + REST_BELIEVED
        yield self.news_at + NEWS
        if self.unseen_since is not None:
            yield self.unseen_since + UNSEEN_AT_MOST
        for zone in self.zones.values():
            yield zone.changed + BLIND
            yield zone.no_sooner
            yield zone.sent_at + APART
            yield zone.sent_at + GRACE
            if zone.due is not None:
                yield zone.due
            for host in zone.hosts:
                yield host.seen + self.patience
                yield (host.suspected or 0.0) + GRACE
            for when, what, _ in zone.log:
                if what == "sent":
                    yield when + ROUND
                    yield when + ROUND / 2

    def blind_from(self) -> float:
        """Return the time from which no zone can show the account."""
        if where := self.where_up:
            return max(map(self.zone_blind_from, where))
        if up := [zone for zone in self.zones.values() if zone.up]:
            return max(map(self.zone_blind_from, up))
        return max((zone.changed + BLIND for zone in self.zones.values()), default=inf)

    @staticmethod
    def zone_blind_from(zone: Zone) -> float:
        """Return the time from which a zone shows nothing."""
        if zone.up:
            return inf if zone.refusal is None or zone.ours else -inf
        return zone.changed + BLIND

    def go_blind(self) -> None:
        """Put the account out of sight until there is evidence."""
        self.blind = True

    def forget_strangers(self, zone: Zone) -> None:
        """Forget the hosts that did not come back on this socket."""
        zone.hosts = zone.ours
        self.note_where_up()

    def will_change(self) -> Iterator[float]:
        """Yield the times at which time alone will change something or send something."""
        for when, _ in self.brings_time():
            yield when
        if not self.token_refused:
            yield self.asks_rest_at()
        for zone in self.zones.values():
            if self.may_subscribe(zone) and zone.due is not None:
                yield max(zone.due, self.no_sooner(zone))
            if zone.up and not zone.probing:
                yield from self.to_judge(zone)

    # verdicts

    def off(self, why: Status) -> None:
        """Apply evidence about the account as a whole."""
        for zone in self.zones.values():
            self.take_out(zone, zone.hosts)
        self.verdict, self.why, self.blind = False, why, False

    @staticmethod
    def take_out(zone: Zone, hosts: list[Host]) -> None:
        """Remove hosts, and record when they last showed a sign of life."""
        zone.heard_at = max([zone.heard_at] + [host.seen for host in hosts])
        zone.hosts = [host for host in zone.hosts if host not in hosts]

    def note_where_up(self) -> None:
        """Record where the account was last up."""
        if where := {name for name, zone in self.zones.items() if zone.hosts}:
            self.was_up_in = where

    def gone(self, zone: Zone, hosts: list[Host], why: Status, pause: float) -> None:
        """Apply evidence about some hosts; losing the last one turns the account off."""
        lost_ours = any(host in zone.ours for host in hosts)
        self.take_out(zone, hosts)
        if lost_ours and not zone.ours:
            zone.pace = FIRST_PAUSE
            zone.urge = ""
            zone.due = min(self.now + pause, inf if zone.due is None else zone.due)
            if not zone.hosts:
                zone.log.clear()
        self.note_where_up()
        if not any(other.hosts for other in self.zones.values()) and not self.is_off:
            self.verdict, self.why, self.blind = False, why, False

    def lose_sight(self, zone: Zone, hosts: list[Host]) -> None:
        """Remove hosts that are silent without a subscription."""
        self.take_out(zone, hosts)
        if not zone.hosts:
            zone.log.clear()
        self.note_where_up()
        if not any(other.hosts for other in self.zones.values()):
            self.blind = True

    def hear(self, zone: Zone) -> None:
        """Handle an event that arrives only with a subscription."""
        if zone.ours and not zone.hears:
            zone.last_said = zone.due = None
        zone.hears = True

    def urge(self, zone: Zone) -> None:
        """Make one subscribe due at once."""
        if not zone.urge:
            zone.urge = "wanted"
            zone.due = self.now

    def refuted(self, hosts: list[Host]) -> None:
        """Allow a longer silence after a suspected host showed itself."""
        if any(host.suspected is not None for host in hosts):
            self.patience = REFUTED

    # events

    def socket_up(self, zone: Zone, session: str, spread: float) -> None:
        """Handle a new socket."""
        early, zone.early = zone.early, []
        self.new_socket(zone, up=True)
        zone.session = session
        zone.pace = FIRST_PAUSE
        zone.due = self.now + spread * self.jitter
        for key, said, alone in early:
            self.authenticated(zone, key, said, alone)

    def new_socket(self, zone: Zone, *, up: bool) -> None:
        """Reset everything that belonged to the old socket."""
        zone.up = up
        zone.socket += 1
        zone.log.clear()
        zone.due = zone.due if not up else None
        zone.sent_at = zone.read_until = -inf
        zone.urge = ""
        zone.in_flight = zone.probing = zone.hears = False
        zone.changed = self.now
        for host in zone.hosts:
            host.suspected = None

    def floor(self, zone: Zone, said: Said, recommended: float | None) -> float:
        """Return for how long an answer forbids another subscribe."""
        if said.floor == "fixed":
            lately = said.about == "nobody" and self.now < self.news_at + NEWS
            return 0.0 if lately else FLOOR
        if not said.floor:
            return 0.0
        first = LIMIT
        if said.floor == "rate":
            first = FIRST_PAUSE if recommended is None else max(recommended, APART)
        pauses = [min(FLOOR, first * 2.0**times) for times in range(12)]
        doubled = pauses[min(zone.row_of_limits, 11)]
        return max(doubled, recommended or 0.0)

    def answered(self, zone: Zone, said: Said, recommended: float | None) -> None:
        """Handle the answer to a subscribe."""
        zone.in_flight = False
        speaks = said.about in {"awaited", "away"}
        zone.hears = speaks or (zone.hears and said.refusal is None)
        zone.log.append((self.now, "answered", said))
        ours = bool(zone.ours) and zone.hears
        zone.last_said = None if ours else said
        if not ours:
            zone.replies.append(said)
        pause = 0.0
        if floor := self.floor(zone, said, recommended):
            zone.no_sooner = self.now + floor + zone.left
            zone.passing = said.passing
        else:
            pause = zone.pace
            zone.pace = min(zone.pace * 2, LONGEST_PAUSE)
        zone.left = 0.0
        limited = said.floor in {"limit", "rate"}
        zone.row_of_limits = zone.row_of_limits + 1 if limited else 0
        if not ours and zone.urge != "wanted":
            zone.due = self.now + pause

    def authenticated(
        self, zone: Zone, key: Key, session: str | None, alone: bool
    ) -> bool:
        """Handle an `authenticated`; return whether it counts."""
        if session is not None and not zone.up:
            zone.early = [*zone.early, (key, session, alone)][:16]
            return False
        if session is not None and session != zone.session:
            zone.heard_at = self.now
            self.urge(zone)
            return False
        known = zone.named(key)
        self.refuted(known)
        for host in known:
            host.seen = self.now
            host.socket = zone.socket
            host.suspected = None
            host.renewed = True
            zone.learn(host, key)
        if not known:
            zone.hosts.append(Host(*key, self.now, zone.socket))
        if alone:
            zone.hosts = zone.ours
        zone.ever = True
        zone.replies.clear()
        zone.row_of_limits = 0
        zone.urge = ""
        if zone.hears:
            zone.pace = FIRST_PAUSE
        if zone.hears or zone.in_flight or not zone.up:
            zone.last_said = zone.due = None
        elif zone.due is None:
            zone.due = self.now
        self.note_where_up()
        self.verdict, self.why, self.blind = True, Status.CONNECTED, False
        self.ever_on = True
        self.alone = zone.name if alone and not self.two_terminals else None
        self.look_for_others()
        held = self.deployed is False or not self.exists
        self.exists = True
        if self.deployed is False:
            self.deployed = None
        if held:
            for other in self.zones.values():
                if not other.ours:
                    other.pace = FIRST_PAUSE
                    other.due = self.now
        return True

    def ask_everywhere(self, where: Callable[[Zone], bool]) -> None:
        """Restart the subscribes at once."""
        for zone in self.zones.values():
            if zone.up and where(zone):
                zone.pace = FIRST_PAUSE
                zone.due = self.now

    def status(
        self, zone: Zone, key: Key, connected: bool | None, authenticated: bool | None
    ) -> None:
        """Handle a `status`."""
        self.hear(zone)
        named = zone.named(key)
        if authenticated is False:
            if not named and len(self.zones) > 1:
                return
            self.gone(zone, named, Status.DISCONNECTED, FIRST_PAUSE)
            return
        zone.heard_at = self.now
        self.refuted(named)
        if living := [host for host in named if host in zone.ours]:
            for host in living:
                host.seen = self.now
                host.suspected = None
                if connected is not None:
                    host.broker = connected
                zone.learn(host, key)
        elif not zone.ours:
            self.urge(zone)

    def disconnected(self, zone: Zone, key: Key) -> None:
        """Handle a `disconnected`."""
        self.hear(zone)
        zone.early.clear()
        if hosts := zone.named(key):
            pause = FIRST_PAUSE * (1 / 3 + self.jitter * 4 / 3)
            self.gone(zone, hosts, Status.DISCONNECTED, pause)

    def probe_answered(self, zone: Zone, sent_at: float) -> None:
        """Handle the answer to a ping."""
        zone.probing = False
        zone.read_until = max(zone.read_until, sent_at)

    def reconnect_sent(self) -> None:
        """Handle the start of a reconnect."""
        self.reconnecting = True
        for zone in self.zones.values():
            for host in zone.hosts:
                host.renewed = False

    def reconnect_accepted(self, zones: list[Zone]) -> None:
        """Handle MetaApi's response that the terminal restarts in some zones."""
        for zone in zones:
            self.take_out(zone, [host for host in zone.hosts if not host.renewed])
        if any(zone.hosts for zone in self.zones.values()):
            self.note_where_up()
        else:
            self.off(Status.RECONNECTING)

    def reconnect_ended(self, *, authenticated: bool, elsewhere: bool) -> None:
        """Handle the outcome of a reconnect."""
        self.reconnecting = False
        if not authenticated and self.verdict is False:
            self.why = Status.RECONNECT_FAILED
        self.ask_everywhere(lambda zone: elsewhere or not (zone.ours and zone.hears))

    def facts(
        self,
        *,
        deployed: bool | None,
        exists: bool,
        connection: str | None,
        began: float | None,
        two_terminals: bool | None,
    ) -> None:
        """Handle what REST says."""
        if two_terminals is not None:
            self.two_terminals = two_terminals
        if two_terminals and self.alone:
            self.alone = None
            self.ask_everywhere(lambda zone: not zone.ours)
        signs = [zone.heard_at for zone in self.zones.values()]
        signs += [host.seen for zone in self.zones.values() for host in zone.hosts]
        if began is not None and max(signs, default=-inf) > began:
            if deployed is False or not exists:
                self.outdated_at = self.now
                return
            connection = None
        was_held = self.deployed is False or not self.exists
        news = exists and deployed is True and not (self.exists and self.deployed)
        connected = (
            exists and connection == "CONNECTED" and self.connection != "CONNECTED"
        )
        if (
            deployed is True
            and not (self.exists and self.deployed)
            and self.now >= self.news_at + HOUR
        ):
            self.news_at = self.now
        self.exists = exists
        if exists:
            self.deployed = deployed
        if connection is not None:
            self.connection = connection
            self.read_began = self.now if began is None else began
        if self.deployed is False and not self.is_off:
            self.off(Status.NOT_DEPLOYED)
        if self.deployed is False or not self.exists:
            return
        if self.why is Status.NOT_DEPLOYED:
            self.why = (
                Status.DISCONNECTED if self.ever_on else Status.NEVER_AUTHENTICATED
            )
        if was_held:
            for zone in self.zones.values():
                zone.pace = FIRST_PAUSE
                zone.due = self.now
        if news or connected:
            self.lift_floors()

    def lift_floors(self) -> None:
        """Allow another subscribe at once after a refusal, once an hour."""
        for zone in self.zones.values():
            if zone.passing and self.now < zone.no_sooner:
                if self.now >= zone.lifted_at + HOUR:
                    zone.left = zone.no_sooner - self.now
                    zone.no_sooner = zone.lifted_at = self.now
                    zone.pace = FIRST_PAUSE
                    zone.due = self.now

    # what is sent

    def wants_subscribe(self, zone: Zone) -> bool:
        """Return whether a subscribe is sent now."""
        return (
            self.may_subscribe(zone)
            and zone.due is not None
            and self.now >= max(zone.due, self.no_sooner(zone))
        )

    def no_sooner(self, zone: Zone) -> float:
        """Return the time before which no subscribe may be sent."""
        return max(zone.no_sooner, zone.sent_at + APART, self.hold_until)

    def may_subscribe(self, zone: Zone) -> bool:
        """Return whether a subscribe is allowed at all."""
        alone_elsewhere = self.alone not in {None, zone.name} and not zone.ours
        return (
            self.could_subscribe(zone)
            and (not zone.in_flight or zone.urge == "wanted")
            and not alone_elsewhere
            and not self.reconnecting
            and not self.token_refused
        )

    def could_subscribe(self, zone: Zone) -> bool:
        """Return whether the account exists and its socket is open."""
        return zone.up and self.deployed is not False and self.exists

    def to_judge(self, zone: Zone) -> Iterator[float]:
        """Yield the times up to which a socket must be read before something can be decided."""
        for host in zone.ours:
            suspected = host.suspected
            yield host.seen + self.patience if suspected is None else suspected + GRACE
        strangers = len(zone.ours) < len(zone.hosts)
        if zone.round_ends is not None:
            if strangers if self.any_ours else not self.is_off:
                yield zone.round_ends
        if self.unseen_since is not None:
            yield self.unseen_since + UNSEEN_AT_MOST

    def wants_probe(self, zone: Zone) -> bool:
        """Return whether a ping is sent now."""
        return (
            zone.up
            and not zone.probing
            and any(zone.read_until < when <= self.now for when in self.to_judge(zone))
        )

    def asks_rest_at(self) -> float:
        """Return when REST is asked about the account."""
        when = inf if self.outdated_at is None else self.outdated_at + REST_APART
        if self.any_ours or self.deployed is False or not self.exists:
            return when
        known = max(self.asked_at, self.read_began)
        for zone in self.zones.values():
            start = zone.round_started
            if not zone.up or start is None or "awaited" in zone.round_said:
                continue
            if self.is_off and not zone.says_away:
                continue
            doubtful = start if zone.round_said else start + ROUND / 2
            pause = REST_APART if known < start else REST_PERIOD
            when = min(when, max(doubtful, known + pause))
        return when

    def wants_rest(self) -> bool:
        """Return whether REST is asked now."""
        return not self.token_refused and self.now >= self.asks_rest_at()


# -- the machine -----------------------------------------------------------------------------------

INSTANCES = st.sampled_from([None, None, 0, 1])
NAMES = st.sampled_from([None, "ps-1", "ps-2"])
KEYS = st.one_of(
    st.just((None, "ps-1")), st.just((None, None)), st.tuples(INSTANCES, NAMES)
)
FLAGS = st.sampled_from([True, False, None])
GOOD_ANSWERS = st.sampled_from(["accepted", "TimeoutError"])
CONNECTIONS = st.sampled_from([None, "CONNECTED", "DISCONNECTED", BROKER_AWAY])
OTHER_ANSWERS = st.one_of(GOOD_ANSWERS, st.sampled_from(list(ANSWERS)))
ANY_ZONE = st.integers(0, 2)
STEPS = st.sampled_from([0.0, 0.25, 1.0, 2.0, 3.0, 6.0, 12.0, 25.0])
MOST_AT_ONCE = 100
"""More changes than this at the same time are an error in the model."""

JUMPS = st.one_of(
    STEPS,
    st.sampled_from(
        [29.75, 30.0, 59.75, 60.0, 60.25, 89.75, 90.0, 100.0, 299.75, 300.0, 3600.0]
    ),
    st.integers(0, 1600).map(lambda quarters: quarters / 4),
)


def when(where: Callable[[Zone], bool]) -> Callable[[Any], Any]:
    """Return a decorator that enables a rule only if some zone meets a condition."""
    return precondition(
        lambda self: any(where(zone) for zone in self.model.zones.values())
    )


def is_up(zone: Zone) -> bool:
    """Return whether a zone's socket is open."""
    return zone.up


def is_down(zone: Zone) -> bool:
    """Return whether a zone's socket is closed."""
    return not zone.up


def is_asking(zone: Zone) -> bool:
    """Return whether a subscribe is in flight."""
    return zone.in_flight


def is_probing(zone: Zone) -> bool:
    """Return whether a ping is in flight."""
    return zone.probing


def is_over_quota(zone: Zone) -> bool:
    """Return whether the last subscribe met an exhausted quota."""
    return zone.up and zone.refusal is Status.QUOTA_EXHAUSTED


def is_not_found(zone: Zone) -> bool:
    """Return whether the last subscribe was answered with `NotFoundError`."""
    return zone.up and zone.refusal is Status.NOT_FOUND


class Machine(RuleBasedStateMachine):
    """Drive the terminal and the model in parallel."""

    terminal: Terminal[str]
    model: Model

    @initialize(
        zones=st.integers(1, 3),
        jitter=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
        opened=st.booleans(),
        ponging=st.booleans(),
    )
    def begin(self, zones: int, jitter: float, opened: bool, ponging: bool) -> None:
        """Start at time zero, often with every socket open."""
        self.now = 0.0
        self.sessions = 0
        self.ponging = ponging
        self.renewed = False
        self.terminal = Terminal(
            ZONES[:zones],
            0.0,
            timing=TIMING,
            jitter=lambda low, high: low + jitter * (high - low),
        )
        self.model = Model(ZONES[:zones], jitter)
        self.counted_since_off = False
        self.check()
        while opened and any(map(is_down, self.model.zones.values())):
            self.socket_up(0, 0.0)

    # helpers

    def one(self, number: int, where: Callable[[Zone], bool]) -> str:
        """Return the name of a zone that meets a condition; a precondition ensures that there is one."""
        names = [name for name, zone in self.model.zones.items() if where(zone)]
        return names[number % len(names)]

    @contextmanager
    def event(self, *, evidence: bool = False, on: bool = False) -> Iterator[None]:
        """Compare what is shown and what is sent after an event.

        `evidence`: the event may turn the account off, as may a round that is over; `on`: it may turn the account on.
        """
        before = self.terminal.state
        yield
        self.model.pass_time(self.now)
        after = self.terminal.state
        if after.available and after.terminal is False:
            self.counted_since_off = False
            if before.terminal is not False and before.available:
                assert evidence or self.a_round_is_over, (
                    f"off without evidence: {before} -> {after}"
                )
        if after.terminal and not before.terminal:
            assert on, f"on without `authenticated`: {before} -> {after}"
        self.check()

    def check(self) -> None:
        """Compare the terminal with the model, and check what must always hold."""
        for action, name in self.terminal.pending:
            if name is None:
                assert action is Action.ASK_REST
                assert self.model.wants_rest(), "REST"
                self.model.asked_at = self.now
                self.model.outdated_at = None
                continue
            zone = self.model.zones[name]
            if action is Action.SUBSCRIBE:
                assert self.model.wants_subscribe(zone), f"subscribe to {name}"
                zone.due = None
                zone.sent_at = self.now
                zone.in_flight = True
                zone.urge = "spent" if zone.urge == "wanted" else ""
                zone.log.append((self.now, "sent", None))
            else:
                assert self.model.wants_probe(zone), f"probe of {name}"
                zone.probing = True
                zone.probed_at = self.now
        self.terminal.pending.clear()
        assert not self.model.wants_rest(), "no question to REST"
        for name, zone in self.model.zones.items():
            assert not self.model.wants_subscribe(zone), f"no subscribe to {name}"
            assert not self.model.wants_probe(zone), f"no probe of {name}"
        assert View.of(self.terminal.state) == self.model.shown()
        if self.ponging:
            for name, zone in list(self.model.zones.items()):
                if zone.probing:
                    self.answer_probe(name, 0.0)

    # the clock

    @rule(step=JUMPS)
    def wait(self, step: float) -> None:
        """Advance the clock, stopping at every deadline of the terminal."""
        end = self.now + step
        while self.terminal.deadline <= end:
            assert self.terminal.deadline > self.now, "the same moment again"
            self.now = self.terminal.deadline
            self.tick()
        self.now = end
        self.tick()

    @rule(step=JUMPS)
    def jump(self, step: float) -> None:
        """Advance the clock without stopping at deadlines, like a process that was suspended."""
        self.now += step
        self.tick()

    @rule(number=st.integers(0, 20), aside=st.sampled_from([-0.25, 0.0, 0.25]))
    def brink(self, number: int, aside: float) -> None:
        """Advance to a time at which something is due, or slightly before or after it."""
        ahead = sorted({when for when in self.model.moments() if when > self.now})
        if ahead:
            self.wait(max(0.0, ahead[number % len(ahead)] + aside - self.now))

    @when(is_asking)
    @rule(
        answer=GOOD_ANSWERS,
        other=OTHER_ANSWERS,
        aside=st.sampled_from([-0.25, 0.0]),
        hang=st.booleans(),
    )
    def round(self, answer: str, other: str, aside: float, hang: bool) -> None:
        """Run a round to its end, or just before it; with `hang` only its first subscribe is answered."""
        name = self.one(0, is_asking)
        self.answer_zone(name, answer, None)
        if (ends := self.model.zones[name].round_ends) is None:
            return
        if hang:
            self.wait(max(0.0, ends + aside - self.now))
        else:
            self.live(max(0.0, ends + aside - self.now), answer, other, False)

    def tick(self) -> None:
        """Call `tick` at the current time."""
        with self.event():
            self.terminal.tick(self.now)

    @property
    def a_round_is_over(self) -> bool:
        """Return whether a round has reached its end in some zone."""
        return any(
            zone.up
            and zone.round_started is not None
            and zone.round_started + ROUND <= self.now
            for zone in self.model.zones.values()
        )

    # our sockets

    @when(is_down)
    @rule(number=ANY_ZONE, spread=st.sampled_from([0.0, 0.0, 2.0, 5.0]))
    def socket_up(self, number: int, spread: float) -> None:
        """Open a zone's socket."""
        self.open(self.one(number, is_down), spread)

    def open(self, name: str, spread: float) -> None:
        """Open the socket of a zone; early events may belong to its session."""
        zone = self.model.zones[name]
        self.sessions += 1
        session = f"s{self.sessions}"
        ours = any(said == session for _, said, _ in zone.early)
        with self.event(on=ours):
            self.counted_since_off |= ours
            self.renewed |= ours
            self.model.socket_up(zone, session, spread)
            self.terminal.socket_up(name, session, self.now, spread)

    @when(is_up)
    @rule(number=ANY_ZONE)
    def socket_down(self, number: int) -> None:
        """Lose a zone's socket."""
        name = self.one(number, is_up)
        with self.event():
            self.model.new_socket(self.model.zones[name], up=False)
            self.terminal.socket_down(name, self.now)

    @when(is_down)
    @rule(number=ANY_ZONE, answer=st.sampled_from(list(ANSWERS)))
    def too_late(self, number: int, answer: str) -> None:
        """Report a lost socket again and an answer after it; both change nothing."""
        name = self.one(number, is_down)
        with self.event():
            self.terminal.socket_down(name, self.now)
            self.terminal.subscribe_answered(name, self.now, ANSWERS[answer].error, 1.0)

    @rule(
        count=st.integers(1, 3),
        first=ANY_ZONE,
        known=st.sampled_from([True, True, True, False]),
    )
    def set_zones(self, count: int, first: int, known: bool) -> None:
        """Move the account to other zones."""
        names = [ZONES[(first + index) % 3] for index in range(count)]
        kept = set(names) & set(self.model.zones)
        with self.event():
            self.model.zones = {
                name: self.model.zones.get(name) or Zone(self.now, name)
                for name in names
            }
            self.model.was_up_in &= kept
            self.model.region_known = known
            self.terminal.set_places(names, self.now, region_known=known)

    @when(is_over_quota)
    @rule(number=ANY_ZONE)
    def moved(self, number: int) -> None:
        """Move to another server of a zone because the current one is full."""
        name = self.one(number, is_over_quota)
        zone = self.model.zones[name]
        self.sessions += 1
        session = f"s{self.sessions}"
        with self.event():
            zone.last_said = None
            zone.no_sooner = -inf
            self.model.new_socket(zone, up=False)
            self.model.socket_up(zone, session, 0.0)
            self.terminal.forget_refusal(name)
            self.terminal.socket_down(name, self.now)
            self.terminal.socket_up(name, session, self.now)

    # answers

    @when(is_asking)
    @rule(number=ANY_ZONE, answer=OTHER_ANSWERS)
    def answer(self, number: int, answer: str) -> None:
        """Answer the subscribe in flight."""
        self.answer_zone(self.one(number, is_asking), answer, None)

    @when(is_asking)
    @rule(
        number=ANY_ZONE,
        answer=st.sampled_from([name for name, said in ANSWERS.items() if said.floor]),
        recommended=st.sampled_from([None, 0.0, 1.0, 20.0, 300.0, 400.0]),
    )
    def refuse(self, number: int, answer: str, recommended: float | None) -> None:
        """Refuse the subscribe in flight."""
        self.answer_zone(self.one(number, is_asking), answer, recommended)

    def answer_zone(self, name: str, answer: str, recommended: float | None) -> None:
        """Answer the subscribe of a zone that is in flight."""
        zone = self.model.zones[name]
        said = ANSWERS[answer]
        if answer not in {"TooManyRequests", "Quota"}:
            recommended = None
        with self.event():
            self.model.answered(zone, said, recommended)
            self.terminal.subscribe_answered(name, self.now, said.error, recommended)

    @when(is_probing)
    @rule(number=ANY_ZONE, early=st.sampled_from([0.0, 0.0, 0.25]))
    def probe_answered(self, number: int, early: float) -> None:
        """Answer our ping."""
        self.answer_probe(self.one(number, is_probing), early)

    def answer_probe(self, name: str, early: float) -> None:
        """Answer the ping of a zone; `early` is how long before the recorded time it was sent."""
        zone = self.model.zones[name]
        with self.event(evidence=True):
            self.model.probe_answered(zone, zone.probed_at - early)
            self.terminal.probe_answered(name, zone.probed_at - early, self.now)

    # events of the account

    @rule(
        number=ANY_ZONE,
        key=KEYS,
        session=st.sampled_from(["ours", "ours", "none"]),
        alone=st.booleans(),
    )
    def authenticated(self, number: int, key: Key, session: str, alone: bool) -> None:
        """Deliver an `authenticated`; on the extra socket it has no session and can be for any zone."""
        name = self.one(number, lambda zone: True)
        zone = self.model.zones[name]
        said = zone.session if session == "ours" and zone.up else None
        with self.event(on=True):
            assert self.model.authenticated(zone, key, said, alone)
            assert self.terminal.authenticated(name, key, said, self.now, alone=alone)
            self.counted_since_off = True
            self.renewed = True

    @when(is_down)
    @rule(
        number=ANY_ZONE,
        key=KEYS,
        session=st.sampled_from(["next", "next", "foreign"]),
        alone=st.booleans(),
        opens=st.booleans(),
    )
    def authenticated_early(
        self, number: int, key: Key, session: str, alone: bool, opens: bool
    ) -> None:
        """Deliver an `authenticated` before its socket is known to be open."""
        name = self.one(number, is_down)
        zone = self.model.zones[name]
        said = f"s{self.sessions + 1}" if session == "next" else session
        with self.event():
            assert not self.model.authenticated(zone, key, said, alone)
            assert not self.terminal.authenticated(
                name, key, said, self.now, alone=alone
            )
        if opens:
            self.open(name, 0.0)

    @when(is_up)
    @rule(number=ANY_ZONE, key=KEYS)
    def authenticated_foreign(self, number: int, key: Key) -> None:
        """Deliver an `authenticated` that belongs to another socket."""
        name = self.one(number, is_up)
        zone = self.model.zones[name]
        with self.event():
            assert not self.model.authenticated(zone, key, "foreign", True)
            assert not self.terminal.authenticated(
                name, key, "foreign", self.now, alone=True
            )

    @when(is_up)
    @rule(number=ANY_ZONE, key=KEYS, connected=FLAGS, authenticated=FLAGS)
    def status(
        self, number: int, key: Key, connected: bool | None, authenticated: bool | None
    ) -> None:
        """Deliver a `status`."""
        name = self.one(number, is_up)
        zone = self.model.zones[name]
        with self.event(evidence=authenticated is False):
            self.model.status(zone, key, connected, authenticated)
            self.terminal.status(
                name,
                key,
                connected=connected,
                authenticated=authenticated,
                now=self.now,
            )

    @when(is_up)
    @rule(number=ANY_ZONE, key=KEYS)
    def disconnected(self, number: int, key: Key) -> None:
        """Deliver a `disconnected`."""
        name = self.one(number, is_up)
        zone = self.model.zones[name]
        with self.event(evidence=bool(zone.named(key))):
            self.model.disconnected(zone, key)
            self.terminal.disconnected(name, key, self.now)

    @when(is_up)
    @rule(
        seconds=st.sampled_from([10.0, 61.0, 130.0, 400.0]),
        answer=GOOD_ANSWERS,
        other=OTHER_ANSWERS,
        silent=st.booleans(),
    )
    def live(self, seconds: float, answer: str, other: str, silent: bool) -> None:
        """Advance the clock under normal conditions: subscribes are answered and hosts send `status`.

        With `silent` the first zone is silent; the other zones answer with `other`.
        """
        end = self.now + seconds
        while True:
            for number, (name, zone) in enumerate(self.model.zones.items()):
                if zone.in_flight:
                    self.answer_zone(name, other if number else answer, None)
                if zone.probing:
                    self.answer_probe(name, 0.0)
                for host in list(zone.ours if zone.up else ())[
                    silent and number == 0 :
                ]:
                    with self.event():
                        self.model.status(zone, host.key, True, True)
                        self.terminal.status(
                            name,
                            host.key,
                            connected=True,
                            authenticated=True,
                            now=self.now,
                        )
            if self.now >= end:
                return
            self.wait(min(10.0, end - self.now))

    # reconnect

    @when(is_up)
    @rule()
    def reconnect_sent(self) -> None:
        """Send a `reconnect`."""
        with self.event():
            self.renewed = False
            self.model.reconnect_sent()
            self.terminal.reconnect_sent(self.now)

    @precondition(lambda self: self.model.reconnecting)
    @rule(number=ANY_ZONE, everywhere=st.booleans())
    def reconnect_accepted(self, number: int, everywhere: bool) -> None:
        """Accept the reconnect in one zone, or in all of them."""
        name = self.one(number, lambda zone: True)
        names = list(self.model.zones) if everywhere else [name]
        with self.event(evidence=True):
            self.model.reconnect_accepted([self.model.zones[each] for each in names])
            self.terminal.reconnect_accepted(self.now, None if everywhere else names)

    @when(is_up)
    @rule(number=ANY_ZONE)
    def subscribe_now(self, number: int) -> None:
        """Subscribe just before a reconnect if nothing forbids it."""
        name = self.one(number, is_up)
        zone = self.model.zones[name]
        with self.event():
            may = (
                self.model.may_subscribe(zone)
                and not zone.in_flight
                and self.now >= self.model.no_sooner(zone)
            )
            if may:
                zone.due = self.now
            assert self.terminal.subscribe_now(name, self.now) is may
        assert self.terminal.subscribed(name) is zone.hears

    @precondition(lambda self: self.model.reconnecting)
    @rule(elsewhere=st.booleans())
    def reconnect_ended(self, elsewhere: bool) -> None:
        """End the reconnect, successfully if an `authenticated` arrived."""
        authenticated = self.renewed
        with self.event():
            self.model.reconnect_ended(authenticated=authenticated, elsewhere=elsewhere)
            self.terminal.reconnect_ended(
                self.now, authenticated=authenticated, elsewhere=elsewhere
            )
            assert not self.terminal.reconnecting

    # facts

    @rule(
        deployed=st.sampled_from([True, True, False, None]),
        exists=st.sampled_from([True, True, True, False]),
        connection=CONNECTIONS,
        age=st.sampled_from([None, 0.0, 0.25, 5.0]),
        two=st.sampled_from([None, None, None, None, False, True]),
    )
    def facts(
        self,
        deployed: bool | None,
        exists: bool,
        connection: str | None,
        age: float | None,
        two: bool | None,
    ) -> None:
        """Deliver facts from REST; an account that exists again is as it was before."""
        back = exists and not self.model.exists
        gone = deployed is False and exists
        began = None if age is None else self.now - age
        with self.event(evidence=gone or back, on=back):
            self.model.facts(
                deployed=deployed,
                exists=exists,
                connection=connection,
                began=began,
                two_terminals=two,
            )
            self.terminal.facts(
                self.now,
                deployed=deployed,
                exists=exists,
                connection=connection,
                read_since=began,
                high_reliability=two,
            )
        assert self.terminal.deployed is self.model.deployed

    @when(is_not_found)
    @rule(aside=st.sampled_from([0.0, 60.0, 300.0]))
    def deployed_again(self, aside: float) -> None:
        """Report from REST that a terminal is deployed after none was."""
        self.facts(False, True, None, None, None)
        self.wait(aside)
        self.facts(True, True, None, None, None)

    @when(is_asking)
    @rule(
        answer=st.sampled_from(["TimeoutError", "NoneDeployed", "mute"]),
        connection=CONNECTIONS,
        seconds=st.sampled_from([61.0, 130.0, 700.0]),
    )
    def in_doubt(self, answer: str, connection: str | None, seconds: float) -> None:
        """Create a doubt that REST decides: the broker is away, a zone is mute, no account is deployed."""
        end = self.now + seconds
        while True:
            for name, zone in list(self.model.zones.items()):
                if answer != "mute" and zone.in_flight:
                    self.answer_zone(name, answer, None)
            if self.model.asked_at == self.now:
                self.facts(True, True, connection, 0.0, None)
            if self.now >= end:
                return
            step = self.terminal.deadline - self.now
            self.wait(min(max(step, 0.25), end - self.now))

    @rule(step=st.sampled_from([-1.0, 0.0, 10.0, 300.0]))
    def hold(self, step: float) -> None:
        """Hold back every subscribe, or stop doing so."""
        with self.event():
            self.model.hold_until = self.now + step
            self.terminal.hold(self.now + step, self.now)
            assert self.terminal.deadline == self.now
            self.terminal.tick(self.now)

    @precondition(lambda self: self.now > 5000)
    @rule()
    def token_refused(self) -> None:
        """Report a refused token."""
        with self.event():
            self.model.token_refused = True
            self.terminal.token_refused(self.now)

    @rule()
    def token_accepted(self) -> None:
        """Report an accepted token, whether or not it was refused before."""
        was_refused = self.model.token_refused
        with self.event(evidence=was_refused, on=was_refused):
            self.model.token_refused = False
            self.model.lift_floors()
            self.terminal.token_accepted(self.now)

    # what must always hold

    @invariant()
    def looks_ahead(self) -> None:
        """The deadline is in the future, and another tick at the same time changes nothing."""
        assert self.terminal.deadline > self.now
        # changes that are overdue wait for a pong
        ahead = [when for when in self.model.will_change() if when > self.now]
        assert self.terminal.deadline <= min(ahead, default=inf)
        before = copy.deepcopy(vars(self.terminal))
        del before["deadline"]
        self.terminal.tick(self.now)
        after = dict(vars(self.terminal))
        assert after.pop("deadline") > self.now
        assert before == after

    @invariant()
    def makes_sense(self) -> None:
        """Some combinations must never be shown, whatever happened before."""
        state = self.terminal.state
        if state.terminal:
            assert self.counted_since_off, "on, but nothing authenticated since"
        if not state.terminal:
            assert state.broker is None
        if not state.available:
            assert state.terminal is None
        if state.available and state.terminal is None:
            assert self.now < UNKNOWN_AT_MOST
        assert (state.status is Status.TOKEN_REFUSED) is self.model.token_refused
        assert set(self.terminal.up_places) == self.model.was_up_in
        assert self.terminal.reconnecting is self.model.reconnecting

    @override
    def teardown(self) -> None:
        """Advance the clock: wherever a subscribe is allowed and needed, one is sent in the end."""
        if not hasattr(self, "model"):
            return
        latest = max(
            [self.now, self.model.hold_until]
            + [zone.no_sooner for zone in self.model.zones.values()]
        )
        waiting = [
            name
            for name, zone in self.model.zones.items()
            if self.model.may_subscribe(zone) and not zone.ours
        ]
        self.wait(latest + LONGEST_PAUSE - self.now)
        for name in waiting:
            assert self.model.zones[name].in_flight, f"{name} waits for nothing"


FUZZ = float(os.environ.get("FUZZ", "1"))
"""Multiplies the number of examples; below 1 they are always the same, as mutation tests need.

Set it to more than 1 to have a failure shrunk.
"""

PROFILE = settings(
    max_examples=round(120 * FUZZ),
    derandomize=FUZZ < 1,
    # Shrinking a failure takes minutes, or hours on a busy machine
    phases=[Phase.generate, Phase.shrink] if FUZZ > 1 else [Phase.generate],
    stateful_step_count=50,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def test_terminal_is_what_the_model_says() -> None:
    """The terminal agrees with the model after any sequence of events and clock jumps."""
    run_state_machine_as_test(Machine, settings=PROFILE)
