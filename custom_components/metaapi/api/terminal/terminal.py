"""The state machine of one account: events and clock in, what is true of the terminal out.

It does no I/O and knows no clock but the one passed in (`now`, in seconds of a monotonic clock). What it
wants done it leaves in `wishes`, for the monitor to fulfil and report back.

Two facts are kept apart (documentation, "status"): the *terminal* is authenticated for this client, and
the terminal is connected to its *broker*. On needs an `authenticated`; off needs evidence about the
account; the loss of a socket of ours is neither.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from math import inf
import random
from typing import Any

from ..errors import MetaApiError, TerminalTimeoutError
from ..model import Status
from ..timing import Timing
from .rules import Retry, Rule, subscribe_rule

__all__ = ["AccountState", "Action", "HostKey", "Status", "Terminal"]

_HOSTS_MAX = 16
"""Terminals of one account in one zone that are kept apart; more is not MetaApi any more."""

_TRIES_AN_HOUR = 12
"""So many floors are an hour."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """What a link shows to the outside."""

    available: bool = True
    """False while we cannot see the account at all."""
    terminal: bool | None = None
    """Whether the terminal is authenticated; None until the first round decides."""
    broker: bool | None = None
    """Whether the terminal is connected to its broker; None while that is not known."""
    status: Status | None = Status.UNKNOWN
    """The reason; None while MetaApi refuses the token."""
    timeouts: int = 0
    """How many subscribes in a row each open socket of the account saw answered `TimeoutError`, at least.

    0 as long as one of them shows a terminal, or answers anything else. With five in a row MetaApi's SDKs
    read the account's facts again, since its region may be another one by now (SDK behaviour); listeners
    hear of each step.
    """


class Action(Enum):
    """What a link wants its monitor to do on a zone's socket."""

    SUBSCRIBE = "subscribe"
    PROBE = "probe"


type HostKey = tuple[int | None, str | None]
"""Instance number and host of an event; None matches any."""


@dataclass(slots=True)
class _Host:
    """A terminal process that is authenticated, as far as we know."""

    sign: float
    """When it last gave a sign of life."""
    fresh: bool = True
    """False for what an earlier socket showed, until this socket shows it as well."""
    broker: bool | None = None


@dataclass(slots=True)
class _ZoneLink:
    """What one zone knows of the account."""

    down_since: float
    alive: bool = False
    session_id: str | None = None
    hosts: dict[HostKey, _Host] = field(default_factory=dict)
    ever_up: bool = False
    last_up: bool = False
    """Whether this zone is one of those where the account was up when it was last up anywhere."""
    round_started: float | None = None
    """When the first subscribe of the running round went out."""
    refusal: Status | None = None
    not_before: float = -inf
    """The floor that follows a refusal; like the refusal itself, it outlives the socket."""
    hurried_at: float = -inf
    """When news of REST last lifted the floor."""
    skipped: float = 0.0
    """What was left of it then, in seconds: the next one is longer by that."""
    subscribed: bool = False
    """Whether the account's events come on this very socket."""
    in_flight: bool = False
    sent_at: float = -inf
    """When the last subscribe went out."""
    subscribe_at: float | None = None
    delay: float = 0.0
    timeouts: int = 0
    """Subscribes in a row that were answered `TimeoutError`; sockets may come and go between them."""
    nudged: bool = False
    probing: bool = False

    @property
    def up(self) -> bool:
        """Tell whether this very socket shows a terminal."""
        return any(host.fresh for host in self.hosts.values())

    def hear(self) -> None:
        """Learn from an event that comes only with a subscription that there is one."""
        if self.up and not self.subscribed:
            self.refusal = None
            self.subscribe_at = None
        self.subscribed = True

    def forget_stale(self) -> None:
        """Drop what only an earlier socket showed."""
        self.hosts = {key: host for key, host in self.hosts.items() if host.fresh}

    def find(self, key: HostKey) -> list[HostKey]:
        """Return the hosts that an event means."""
        if key in self.hosts:
            return [key]
        return [known for known in self.hosts if _matches(known, key)]


class Terminal[PlaceT: Hashable]:
    """The link to one account."""

    def __init__(
        self,
        zones: Iterable[PlaceT],
        now: float,
        *,
        timing: Timing | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Start without knowing anything; `zones` are the places of the account: one for each socket that can see it."""
        self.pending: list[tuple[Action, PlaceT]] = []
        self.state = AccountState()
        self.deadline = now
        """When `tick` has something to do at the earliest."""
        self._timing = timing or Timing()
        self._jitter = jitter
        self._started = now
        self._zones = {name: _ZoneLink(down_since=now) for name in zones}
        self._terminal: bool | None = None
        self._reason = Status.UNKNOWN
        self._blind = False
        self._ever_on = False
        self._deployed: bool | None = None
        self._exists = True
        self._token_refused = False
        self._hold_until = now
        self._unseen_since: float | None = None
        self._reconnecting = False
        self._authenticated_since = False
        self.tick(now)

    @property
    def reconnecting(self) -> bool:
        """Tell whether a `reconnect` is under way, during which nothing subscribes."""
        return self._reconnecting

    @property
    def deployed(self) -> bool | None:
        """Return what REST last said about the account's deployment."""
        return self._deployed

    @property
    def up(self) -> bool:
        """Tell whether an open socket shows a terminal."""
        return any(link.up for link in self._zones.values())

    @property
    def up_zones(self) -> list[PlaceT]:
        """Return the zones where the account was up when it was last up."""
        return [name for name, zone in self._zones.items() if zone.last_up]

    def diagnostics(self, now: float) -> dict[PlaceT, dict[str, Any]]:
        """Return what each zone knows, for a person; seconds count back or ahead from `now`."""
        return {name: self._describe(link, now) for name, link in self._zones.items()}

    # -- our sockets ---------------------------------------------------------------------------

    def set_zones(self, zones: Iterable[PlaceT], now: float) -> None:
        """Take a new set of zones; what is known of those that stay is kept."""
        self._zones = {
            name: self._zones.get(name) or _ZoneLink(down_since=now) for name in zones
        }
        self.tick(now)

    def socket_up(
        self, zone: PlaceT, session_id: str, now: float, spread: float = 0.0
    ) -> None:
        """Hear that a zone's socket is open, with a session of its own; subscribe within `spread`."""
        link = self._zones[zone]
        self._forget_socket(link)
        link.alive = True
        link.session_id = session_id
        link.delay = self._timing.subscribe_first
        link.subscribe_at = now + (self._jitter(0.0, spread) if spread else 0.0)
        self.tick(now)

    def socket_down(self, zone: PlaceT, now: float) -> None:
        """Hear that a zone's socket is gone: no news about the account, its clocks stop."""
        link = self._zones[zone]
        if not link.alive:
            return
        self._forget_socket(link)
        link.alive = False
        link.down_since = now
        self.tick(now)

    def probe_answered(self, zone: PlaceT, sent_at: float, now: float) -> None:
        """Hear that the socket answered a ping sent at `sent_at`: what is silent since is gone."""
        link = self._zones[zone]
        link.probing = False
        silent = [
            key
            for key, host in link.hosts.items()
            if host.fresh and host.sign + self._timing.silence <= sent_at
        ]
        if silent and link.subscribed:
            self._remove(link, silent, Status.SILENT, now, pause=0.0)
        elif silent:
            self._lose_sight(link, silent)
        self.tick(now)

    # -- answers -------------------------------------------------------------------------------

    def subscribe_answered(
        self,
        zone: PlaceT,
        now: float,
        error: MetaApiError | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Hear the answer to a subscribe; `retry_after` is what a 429 recommends, in seconds."""
        link = self._zones[zone]
        link.in_flight = False
        if not link.alive:
            return
        rule = _ACCEPTED if error is None else subscribe_rule(error)
        if rule.evidence:
            link.subscribed = True
        else:
            link.round_started = None
            link.subscribed &= rule.refusal is None
        pause = 0.0
        if rule.retry is Retry.BACKOFF:
            pause = link.delay
            link.delay = min(link.delay * 2, self._timing.subscribe_max)
        if rule.floor:
            floor = max(retry_after or 0.0, self._timing.refused_floor)
            link.not_before = now + floor + link.skipped
        link.skipped = 0.0
        if link.up and link.subscribed:
            # the terminal authenticated before the answer came
            link.refusal = None
        else:
            timed_out = isinstance(error, TerminalTimeoutError)
            link.timeouts = link.timeouts + 1 if timed_out else 0
            link.refusal = rule.refusal
            link.subscribe_at = None if rule.retry is Retry.NEVER else now + pause
        if rule.retry is Retry.NEVER:
            link.nudged = True
        self.tick(now)

    def forget_refusal(self, zone: PlaceT) -> None:
        """Hear that another server of the zone is asked, whom the refusal does not concern."""
        link = self._zones[zone]
        link.refusal = None
        link.not_before = -inf

    def reconnect_sent(self, now: float) -> None:
        """Hear that a `reconnect` goes out: nothing subscribes until it ended."""
        self._reconnecting = True
        self._authenticated_since = False
        self.tick(now)

    def subscribe_now(self, zone: PlaceT, now: float) -> bool:
        """Subscribe at once, just before a `reconnect`; return False where a floor or a pause forbids it."""
        link = self._zones[zone]
        if (
            not link.alive
            or link.in_flight
            or self._held
            or now
            < max(
                link.not_before,
                link.sent_at + self._timing.subscribe_first / 3,
                self._hold_until,
            )
        ):
            return False
        link.in_flight = True
        link.sent_at = now
        link.subscribe_at = None
        if link.round_started is None:
            link.round_started = now
        self.pending.append((Action.SUBSCRIBE, zone))
        return True

    def reconnect_accepted(
        self, now: float, zones: Iterable[PlaceT] | None = None
    ) -> None:
        """Hear that MetaApi took the `reconnect`: off until the next `authenticated`, if all was in these zones."""
        if not self._authenticated_since:
            for zone in self._zones if zones is None else zones:
                self._zones[zone].hosts.clear()
            if any(link.hosts for link in self._zones.values()):
                self._note_where_up()
            else:
                self._drop_everything(Status.RECONNECTING)
        self.tick(now)

    def reconnect_ended(
        self, now: float, *, authenticated: bool, elsewhere: bool = False
    ) -> None:
        """Hear the outcome; where no terminal is shown, or no subscription is, subscribe again at once."""
        self._reconnecting = False
        if not authenticated and self._terminal is False:
            self._reason = Status.RECONNECT_FAILED
        for link in self._zones.values():
            if elsewhere or not (link.up and link.subscribed):
                self._ask_afresh(link, now)
                link.nudged = False
        self.tick(now)

    # -- events of the account -----------------------------------------------------------------

    def authenticated(
        self,
        zone: PlaceT,
        key: HostKey,
        session_id: str | None,
        now: float,
        *,
        alone: bool = False,
    ) -> bool:
        """Take an `authenticated`; return False for a stale answer to an earlier socket.

        `alone` says that MetaApi runs no other terminal for the account (`replicas` is 1).
        """
        link = self._zones[zone]
        if (
            session_id is not None
            and link.session_id is not None
            and session_id != link.session_id
        ):
            self._nudge(link, now)
            self.tick(now)
            return False
        for known in link.find(key):
            host = link.hosts[known]
            host.sign = now
            host.fresh = True
            _rename(link.hosts, known, key)
        if not link.find(key):
            if len(link.hosts) >= _HOSTS_MAX:
                del link.hosts[min(link.hosts, key=lambda one: link.hosts[one].sign)]
            link.hosts[key] = _Host(now)
        if alone:
            link.forget_stale()
        link.ever_up = True
        link.timeouts = 0
        link.nudged = False
        if link.subscribed:
            link.delay = self._timing.subscribe_first
        if link.subscribed or link.in_flight or not link.alive:
            link.refusal = None
            link.subscribe_at = None
        elif link.subscribe_at is None:
            # it comes without a subscription, and without the `status` events that follow one
            link.subscribe_at = now
        self._note_where_up()
        self._terminal = True
        self._ever_on = True
        self._blind = False
        self._authenticated_since = True
        if self._held:
            # REST is behind: where nothing subscribed meanwhile, do
            self._exists = True
            if self._deployed is False:
                self._deployed = None
            for other in self._zones.values():
                if not other.up:
                    self._ask_afresh(other, now)
        self.tick(now)
        return True

    def status(
        self,
        zone: PlaceT,
        key: HostKey,
        *,
        connected: bool | None,
        authenticated: bool | None,
        now: float,
    ) -> bool:
        """Take a `status`, the periodic sign of life of a terminal; return False if it told nothing new."""
        link = self._zones[zone]
        host = link.hosts.get(key)
        if (
            host is not None
            and host.fresh
            and link.subscribed
            and authenticated is not False
            and (connected is None or connected is host.broker)
        ):
            host.sign = now
            return False
        link.hear()
        found = link.find(key)
        if authenticated is False and not found and len(self._zones) > 1:
            pass  # another zone may be the one that has the account
        elif authenticated is False:
            self._remove(
                link,
                found,
                Status.DISCONNECTED,
                now,
                pause=self._timing.subscribe_first,
            )
        elif fresh := [known for known in found if link.hosts[known].fresh]:
            for known in fresh:
                host = link.hosts[known]
                host.sign = now
                if connected is not None:
                    host.broker = connected
                _rename(link.hosts, known, key)
        elif not link.up:
            self._nudge(link, now)
        self.tick(now)
        return True

    def disconnected(self, zone: PlaceT, key: HostKey, now: float) -> None:
        """Take a `disconnected`: that terminal process has gone from MetaApi's server."""
        link = self._zones[zone]
        link.hear()
        if found := link.find(key):
            first = self._timing.subscribe_first
            pause = self._jitter(first / 3, first * 5 / 3)
            self._remove(link, found, Status.DISCONNECTED, now, pause=pause)
        self.tick(now)

    # -- facts that do not come by a socket ----------------------------------------------------

    def facts(
        self, now: float, *, deployed: bool | None = None, exists: bool = True
    ) -> None:
        """Take what REST says; `deployed` None means that REST cannot be asked."""
        was_held = self._held
        self._exists = exists
        if exists:
            self._deployed = deployed
        if self._deployed is False and (self._terminal is not False or self._blind):
            self._drop_everything(Status.NOT_DEPLOYED)
        if not self._held:
            if self._reason is Status.NOT_DEPLOYED:
                self._reason = (
                    Status.DISCONNECTED if self._ever_on else Status.NEVER_AUTHENTICATED
                )
            for link in self._zones.values():
                unknown = deployed and link.refusal is Status.NOT_FOUND
                if was_held or unknown:
                    self._ask_afresh(link, now)
                if was_held and unknown:
                    self._hurry(link, now)
        self.tick(now)

    def hold(self, until: float, now: float) -> None:
        """Send no subscribe before a moment: the user's quota of subscriptions is used up.

        What that shows waits for the next `tick`, which is due at once: a thousand accounts are held together.
        """
        self._hold_until = until
        # one that is overdue keeps its turn
        self.deadline = min(self.deadline, now)

    def token_refused(self, now: float) -> None:
        """Hear that MetaApi refuses the token: nothing is known any more."""
        self._token_refused = True
        self.tick(now)

    # -- the clock -----------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Let the clock decide what is due, and work out the state anew."""
        self._decide_round(now)
        self._mind_hold(now)
        self._look_around(now)
        self._make_wishes(now)
        self.state = self._make_state()
        self.deadline = min(
            (when for when in self._moments() if when > now), default=inf
        )

    def _decide_round(self, now: float) -> None:
        """Judge the subscribe rounds that are over."""
        if any(link.up for link in self._zones.values()):
            for link in self._zones.values():
                if self._round_over(link, now) or (
                    not link.alive and now >= link.down_since + self._timing.blind
                ):
                    link.forget_stale()
            self._note_where_up()
            return
        if self._terminal is False and not self._blind:
            return
        judges = [link for link in self._zones.values() if self._has_a_say(link, now)]
        if judges and all(self._round_over(link, now) for link in judges):
            self._drop_everything(
                Status.DISCONNECTED if self._ever_on else Status.NEVER_AUTHENTICATED
            )

    def _has_a_say(self, link: _ZoneLink, now: float) -> bool:
        """Tell whether a zone must agree that a round got nowhere.

        A zone whose socket is away only for a moment may be the one that has the account.
        """
        if link.ever_up:
            return True
        if link.alive:
            return link.refusal is not Status.NOT_FOUND
        return not self._ever_on and now < link.down_since + self._timing.blind

    def _round_over(self, link: _ZoneLink, now: float) -> bool:
        """Tell whether a zone's round lasted its time and every subscribe of it got an answer."""
        return (
            link.alive
            and not link.in_flight
            and link.round_started is not None
            and now >= link.round_started + self._timing.round
        )

    def _mind_hold(self, now: float) -> None:
        """Take the user's limit for the answer to each subscribe that it holds back, until one comes.

        A socket on which the account's events come, or an answer of its own, says more.
        """
        if now >= self._hold_until or self._held:
            return
        for link in self._zones.values():
            if (
                link.alive
                and link.refusal is None
                and link.subscribe_at is not None
                and not (link.up or link.subscribed or link.in_flight)
            ):
                link.refusal = Status.QUOTA_EXHAUSTED

    def _look_around(self, now: float) -> None:
        """Find out whether we can see the account; once blind, only evidence makes us see again."""
        if self._terminal is None and now >= self._started + self._timing.unknown:
            self._blind = True
        if self._deployed is False:
            self._blind = False
            return
        eyes = [link for link in self._zones.values() if link.last_up] or list(
            self._zones.values()
        )
        if eyes and all(self._is_blind(link, now) for link in eyes):
            self._blind = True
        if not self._terminal or self.up:
            self._unseen_since = None
        elif self._unseen_since is None:
            self._unseen_since = now
        elif now >= self._unseen_since + self._patience:
            self._blind = True

    @property
    def _patience(self) -> float:
        """Return for how long an on is believed that no open socket shows."""
        return self._timing.blind + self._timing.round

    def _is_blind(self, link: _ZoneLink, now: float) -> bool:
        """Tell whether one zone shows nothing of the account."""
        if link.alive:
            return link.refusal is not None and not link.up
        return now >= link.down_since + self._timing.blind

    def _may_subscribe(self) -> bool:
        """Tell whether anything may subscribe now."""
        return not (self._reconnecting or self._token_refused or self._held)

    @property
    def _held(self) -> bool:
        """Tell whether REST says that there is nothing to subscribe to."""
        return self._deployed is False or not self._exists

    def _make_wishes(self, now: float) -> None:
        """Ask for the subscribes and probes that are due."""
        may_subscribe = self._may_subscribe()
        for name, link in self._zones.items():
            if not link.alive:
                continue
            if may_subscribe and not link.in_flight and now >= self._due(link):
                link.in_flight = True
                link.sent_at = now
                link.subscribe_at = None
                if link.round_started is None:
                    link.round_started = now
                self.pending.append((Action.SUBSCRIBE, name))
            if not link.probing and any(
                host.fresh and now >= host.sign + self._timing.silence
                for host in link.hosts.values()
            ):
                link.probing = True
                self.pending.append((Action.PROBE, name))

    def _due(self, link: _ZoneLink) -> float:
        """Return when a zone's next subscribe may go out, whatever the server makes us want."""
        return max(
            inf if link.subscribe_at is None else link.subscribe_at,
            link.not_before,
            link.sent_at + self._timing.subscribe_first / 3,
            self._hold_until,
        )

    def _make_state(self) -> AccountState:
        """Put together what is shown."""
        if self._token_refused:
            return AccountState(available=False, status=None)
        timeouts = min(
            (link.timeouts for link in self._zones.values() if link.alive), default=0
        )
        if self._blind or not self._exists:
            return AccountState(
                available=False, status=self._blind_status(), timeouts=timeouts
            )
        if not self._terminal:
            status = self._reason
            if self._reconnecting:
                status = Status.RECONNECTING
            elif self._deployed is False:
                status = Status.NOT_DEPLOYED
            return AccountState(
                terminal=self._terminal, status=status, timeouts=timeouts
            )
        brokers = {
            host.broker for link in self._zones.values() for host in link.hosts.values()
        }
        broker = True if True in brokers else False if False in brokers else None
        return AccountState(
            terminal=True,
            broker=broker,
            status=Status.BROKER_DISCONNECTED if broker is False else Status.CONNECTED,
            timeouts=timeouts,
        )

    def _blind_status(self) -> Status:
        """Say why nothing can be seen."""
        if not self._exists:
            return Status.NOT_FOUND
        if self._reconnecting:
            return Status.RECONNECTING
        refusals = [
            link.refusal for link in self._zones.values() if link.alive and link.refusal
        ]
        if refusals:
            return refusals[0]
        if any(link.alive for link in self._zones.values()):
            return Status.UNKNOWN
        return Status.NO_CONNECTION

    def _moments(self) -> Iterator[float]:
        """Yield when the clock alone can change something; what is past was looked at."""
        if self._terminal is None:
            yield self._started + self._timing.unknown
        if self._unseen_since is not None:
            yield self._unseen_since + self._patience
        may_subscribe = self._may_subscribe()
        for link in self._zones.values():
            if not link.alive:
                yield link.down_since + self._timing.blind
                continue
            if may_subscribe and not link.in_flight:
                yield self._due(link)
            if link.round_started is not None:
                yield link.round_started + self._timing.round
            if not link.probing:
                for host in link.hosts.values():
                    if host.fresh:
                        yield host.sign + self._timing.silence

    def _describe(self, link: _ZoneLink, now: float) -> dict[str, Any]:
        """Return what a zone knows."""
        subscribes = (
            self._may_subscribe()
            and link.alive
            and not link.in_flight
            and link.subscribe_at is not None
        )
        return {
            "socket": link.alive,
            "hosts": [
                {
                    "instance": instance,
                    "host": name,
                    "session": "ours" if host.fresh else "earlier",
                    "broker": host.broker,
                    "last_sign": round(now - host.sign, 1),
                }
                for (instance, name), host in link.hosts.items()
            ],
            "subscribe_in_flight": link.in_flight,
            "next_subscribe_in": round(self._due(link) - now, 1)
            if subscribes
            else None,
            "subscribe_pause": link.delay,
            "timeouts": link.timeouts,
            "refusal": link.refusal,
            "refused_for": round(max(link.not_before - now, 0.0), 1),
            "probing": link.probing,
        }

    # -- helpers -------------------------------------------------------------------------------

    def _forget_socket(self, link: _ZoneLink) -> None:
        """Stop every clock that runs on a zone's socket."""
        link.round_started = None
        link.in_flight = False
        link.subscribed = False
        link.sent_at = -inf
        link.nudged = False
        link.probing = False
        for host in link.hosts.values():
            host.fresh = False

    def _remove(
        self,
        link: _ZoneLink,
        keys: Iterable[HostKey],
        reason: Status,
        now: float,
        *,
        pause: float,
    ) -> None:
        """Take hosts out on evidence; the last one turns the terminal off."""
        removed = [link.hosts.pop(key) for key in keys]
        if any(host.fresh for host in removed) and not link.up:
            link.nudged = False
            link.delay = self._timing.subscribe_first
            due = now + pause
            if link.subscribe_at is None or link.subscribe_at > due:
                link.subscribe_at = due
            if not link.hosts:
                link.round_started = None
        if any(other.hosts for other in self._zones.values()):
            self._note_where_up()
        elif self._terminal is not False or self._blind:
            self._terminal = False
            self._reason = reason
            self._blind = False

    def _lose_sight(self, link: _ZoneLink, keys: Iterable[HostKey]) -> None:
        """Take hosts out that are silent for want of a subscription, which is no evidence about them."""
        for key in keys:
            del link.hosts[key]
        if any(other.hosts for other in self._zones.values()):
            self._note_where_up()
        else:
            self._blind = True

    def _note_where_up(self) -> None:
        """Remember in which zones the account is up, for when it is up nowhere any more."""
        for link in self._zones.values():
            link.last_up = bool(link.hosts)

    def _drop_everything(self, reason: Status) -> None:
        """Turn the terminal off on evidence about the account as a whole."""
        for link in self._zones.values():
            link.hosts.clear()
        self._terminal = False
        self._reason = reason
        self._blind = False

    def _nudge(self, link: _ZoneLink, now: float) -> None:
        """Subscribe at once where MetaApi shows a terminal that is not ours (any longer), but once only."""
        if not link.nudged:
            link.nudged = True
            link.subscribe_at = now

    def _hurry(self, link: _ZoneLink, now: float) -> None:
        """Lift the floor of a refusal, once an hour, and never for more attempts in that hour."""
        hour = _TRIES_AN_HOUR * self._timing.refused_floor
        if link.not_before > now >= link.hurried_at + hour:
            link.hurried_at = now
            link.skipped = link.not_before - now
            link.not_before = now

    def _ask_afresh(self, link: _ZoneLink, now: float) -> None:
        """Subscribe at once, as if for the first time, where there is a socket and no floor."""
        link.delay = self._timing.subscribe_first
        link.subscribe_at = now


_ACCEPTED = Rule(Retry.BACKOFF, evidence=True)
"""A `response` is no `authenticated`: subscribe again until that comes (SDK behaviour)."""


def _matches(one: HostKey, other: HostKey) -> bool:
    """Tell whether two keys can mean the same host."""
    return all(
        a is None or b is None or a == b for a, b in zip(one, other, strict=True)
    )


def _rename(hosts: dict[HostKey, _Host], known: HostKey, key: HostKey) -> None:
    """Learn the full key of a host that an earlier event named only in part."""
    full = (
        known[0] if key[0] is None else key[0],
        known[1] if key[1] is None else key[1],
    )
    if full != known:
        hosts[full] = hosts.pop(known)
