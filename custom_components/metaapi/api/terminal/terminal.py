"""The state machine of one account: events and clock in, what is true of the terminal out.

It does no I/O and knows no clock but the one passed in (`now`, in seconds of a monotonic clock). What it
wants done it leaves in `pending`, for its owner to perform and report back.

Two facts are kept apart (documentation, "status"): the *terminal* is authenticated for this client, and
the terminal is connected to its *broker*. On needs an `authenticated`; off needs evidence about the
account; the loss of a socket of ours is neither.

A place is where the account is served: a zone's socket and the id that the account has there. Here it is
anything hashable.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from math import inf
import random
from typing import Any

from ..errors import MetaApiError, TerminalTimeoutError
from ..model import AccountState, Status
from ..timing import Timing
from .clock import Clock
from .rules import ACCEPTED, Retry, subscribe_rule
from .sight import HostKey, Sight
from .subscription import Subscription
from .verdict import Facts, show

__all__ = ["AccountState", "Action", "HostKey", "Status", "Terminal"]


class Action(Enum):
    """What an account wants its monitor to do on a place's socket."""

    SUBSCRIBE = "subscribe"
    PROBE = "probe"


@dataclass(slots=True)
class _Served:
    """One place: what it shows, and how it is asked."""

    sight: Sight
    subscription: Subscription

    def ends(self) -> Iterator[float]:
        """Yield when its clocks are over."""
        yield from self.sight.ends()
        yield from self.subscription.ends()


@dataclass(slots=True)
class _Rest:
    """What REST last said of the account."""

    deployed: bool | None = None
    exists: bool = True

    @property
    def forbids(self) -> bool:
        """Return whether it says that there is nothing to subscribe to."""
        return self.deployed is False or not self.exists


@dataclass(slots=True)
class _Belief[PlaceT: Hashable]:
    """What is held to be true of the terminal, and on which evidence."""

    timing: Timing
    places: dict[PlaceT, _Served]
    unknown: Clock
    """Runs until the first verdict."""
    unseen: Clock
    """Runs while no open socket shows a terminal that is on."""
    rest: _Rest = field(default_factory=_Rest)
    terminal: bool | None = None
    reason: Status = Status.UNKNOWN
    """Why it is not on."""
    out_of_sight: bool = False
    ever_on: bool = False

    @property
    def up(self) -> bool:
        """Return whether an open socket shows a terminal."""
        return any(one.sight.up for one in self.places.values())

    @property
    def is_off(self) -> bool:
        """Return whether that is what is shown."""
        return self.terminal is False and not self.out_of_sight

    @property
    def reason_of_its_own(self) -> Status:
        """Return why it is off, when that is all that is known."""
        return Status.DISCONNECTED if self.ever_on else Status.NEVER_AUTHENTICATED

    # -- evidence ------------------------------------------------------------------------------

    def on(self) -> None:
        """Take an `authenticated`."""
        self.terminal = True
        self.ever_on = True
        self.out_of_sight = False
        self.note_where_up()

    def off(self, reason: Status) -> None:
        """Take evidence about the account as a whole."""
        for one in self.places.values():
            one.sight.hosts.clear()
        self.terminal = False
        self.reason = reason
        self.out_of_sight = False

    def remove(
        self,
        one: _Served,
        keys: Iterable[HostKey],
        reason: Status,
        now: float,
        pause: float = 0.0,
    ) -> None:
        """Take hosts out on evidence; the last one turns the terminal off."""
        if one.sight.remove(keys):
            one.subscription.lost(now + pause, last=not one.sight.hosts)
        if any(other.sight.hosts for other in self.places.values()):
            self.note_where_up()
        elif not self.is_off:
            self.off(reason)

    def lose_sight(self, one: _Served, keys: Iterable[HostKey]) -> None:
        """Take hosts out that are silent without a subscription, which is no evidence about them."""
        one.sight.remove(keys)
        if any(other.sight.hosts for other in self.places.values()):
            self.note_where_up()
        else:
            self.out_of_sight = True

    def note_where_up(self) -> None:
        """Remember in which places the account is up, for when it is up nowhere any more."""
        for one in self.places.values():
            one.sight.last_up = bool(one.sight.hosts)

    # -- the clock -----------------------------------------------------------------------------

    def judge_rounds(self, now: float) -> None:
        """Judge the subscribe rounds that are over."""
        places = self.places.values()
        if self.up:
            for one in places:
                if one.subscription.got_nowhere(now) or one.sight.down.over(now):
                    one.sight.forget_stale()
            self.note_where_up()
            return
        if self.is_off:
            return
        judges = [one for one in places if self._has_a_say(one, now)]
        if judges and all(one.subscription.got_nowhere(now) for one in judges):
            self.off(self.reason_of_its_own)

    def _has_a_say(self, one: _Served, now: float) -> bool:
        """Return whether a place must agree that a round got nowhere.

        One whose socket is away only for a moment may be the one that has the account.
        """
        if one.sight.ever_up:
            return True
        if one.sight.socket_open:
            return one.subscription.refusal is not Status.NOT_FOUND
        return not self.ever_on and not one.sight.down.over(now)

    def look_around(self, now: float) -> None:
        """Find out whether we can see the account; once out of sight, only evidence makes us see again."""
        self.unknown.run_while(self.terminal is None, now)
        if self.unknown.over(now):
            self.out_of_sight = True
        if self.rest.deployed is False:
            self.out_of_sight = False
            return
        places = list(self.places.values())
        eyes = [one for one in places if one.sight.last_up] or places
        if eyes and all(self._is_blind(one, now) for one in eyes):
            self.out_of_sight = True
        self.unseen.run_while(bool(self.terminal) and not self.up, now)
        if self.unseen.over(now):
            self.out_of_sight = True

    @staticmethod
    def _is_blind(one: _Served, now: float) -> bool:
        """Return whether a place shows nothing of the account."""
        if one.sight.socket_open:
            return one.subscription.refusal is not None and not one.sight.up
        return one.sight.down.over(now)

    def ends(self) -> Iterator[float]:
        """Yield when its clocks are over."""
        yield self.unknown.ends
        yield self.unseen.ends
        for one in self.places.values():
            yield from one.ends()

    def facts(self, *, token_refused: bool, reconnecting: bool) -> Facts:
        """Return what the table of what is shown looks at."""
        places = self.places.values()
        opened = [one for one in places if one.sight.socket_open]
        brokers = {host.broker for one in places for host in one.sight.hosts.values()}
        return Facts(
            token_refused=token_refused,
            gone=not self.rest.exists,
            out_of_sight=self.out_of_sight,
            reconnecting=reconnecting,
            refusal=next(filter(None, (o.subscription.refusal for o in opened)), None),
            socket_open=bool(opened),
            deployed=self.rest.deployed,
            terminal=self.terminal,
            broker=True if True in brokers else False if False in brokers else None,
            reason=self.reason,
            timeouts=min((one.subscription.timeouts for one in opened), default=0),
        )


@dataclass(slots=True)
class _Reconnect:
    """A `reconnect` that is under way."""

    running: bool = False
    authenticated: bool = False
    """Whether an `authenticated` counted since it went out."""


class Terminal[PlaceT: Hashable]:
    """The terminal of one account."""

    def __init__(
        self,
        places: Iterable[PlaceT],
        now: float,
        *,
        timing: Timing | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Start without knowing anything; `places` are those where the account can be seen."""
        self.pending: list[tuple[Action, PlaceT]] = []
        self.state = AccountState()
        self.deadline = now
        """When `tick` has something to do at the earliest."""
        self._timing = timing or Timing()
        self._jitter = jitter
        self._places = {place: self._new_place(now) for place in places}
        self._belief = _Belief(
            self._timing,
            self._places,
            unknown=Clock(self._timing.unknown, now),
            unseen=Clock(self._timing.blind + self._timing.round),
        )
        self._reconnect = _Reconnect()
        self._token_refused = False
        self._held_until = now
        self.tick(now)

    @property
    def reconnecting(self) -> bool:
        """Return whether a `reconnect` is under way, during which nothing subscribes."""
        return self._reconnect.running

    @property
    def deployed(self) -> bool | None:
        """Return what REST last said about the account's deployment."""
        return self._belief.rest.deployed

    @property
    def up(self) -> bool:
        """Return whether an open socket shows a terminal."""
        return self._belief.up

    @property
    def up_places(self) -> list[PlaceT]:
        """Return the places where the account was up when it was last up."""
        return [place for place, one in self._places.items() if one.sight.last_up]

    def diagnostics(self, now: float) -> dict[PlaceT, dict[str, Any]]:
        """Return what each place knows, for a person; seconds count back or ahead from `now`."""
        return {
            place: one.sight.describe(now)
            | one.subscription.describe(now, self._due(one))
            for place, one in self._places.items()
        }

    # -- our sockets ---------------------------------------------------------------------------

    def set_places(self, places: Iterable[PlaceT], now: float) -> None:
        """Take a new set of places; what is known of those that stay is kept."""
        self._places = self._belief.places = {
            place: self._places.get(place) or self._new_place(now) for place in places
        }
        self.tick(now)

    def socket_up(
        self, place: PlaceT, session_id: str, now: float, spread: float = 0.0
    ) -> None:
        """Handle the opening of a place's socket, with a session of its own; subscribe within `spread`."""
        one = self._places[place]
        one.sight.open_socket(session_id)
        one.subscription.forget_socket()
        one.subscription.want(now + (self._jitter(0.0, spread) if spread else 0.0))
        self.tick(now)

    def socket_down(self, place: PlaceT, now: float) -> None:
        """Handle the loss of a place's socket: no news about the account, its clocks stop."""
        one = self._places[place]
        if one.sight.socket_open:
            one.sight.lose_socket(now)
            one.subscription.forget_socket()
            self.tick(now)

    def probe_answered(self, place: PlaceT, sent_at: float, now: float) -> None:
        """Handle the answer to a ping that was sent at `sent_at`: what is silent since is gone."""
        one = self._places[place]
        one.sight.probing = False
        if silent := one.sight.silent(sent_at):
            if one.subscription.subscribed:
                self._belief.remove(one, silent, Status.SILENT, now)
            else:
                self._belief.lose_sight(one, silent)
        self.tick(now)

    # -- answers -------------------------------------------------------------------------------

    def subscribe_answered(
        self,
        place: PlaceT,
        now: float,
        error: MetaApiError | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Handle the answer to a subscribe; `retry_after` is what a 429 recommends, in seconds."""
        one = self._places[place]
        one.subscription.in_flight = False
        if not one.sight.socket_open:
            return
        rule = ACCEPTED if error is None else subscribe_rule(error)
        one.subscription.answered(
            now,
            evidence=rule.evidence,
            refusal=rule.refusal,
            again=rule.retry is not Retry.NEVER,
            backs_off=rule.retry is Retry.BACKOFF,
            floor=rule.floor,
            recommended=retry_after,
            timed_out=isinstance(error, TerminalTimeoutError),
            up=one.sight.up,
        )
        self.tick(now)

    def forget_refusal(self, place: PlaceT) -> None:
        """Take back a refusal, as another server is asked from now on."""
        self._places[place].subscription.forget_refusal()

    def reconnect_sent(self, now: float) -> None:
        """Note that a `reconnect` goes out: nothing subscribes until it ended."""
        self._reconnect = _Reconnect(running=True)
        self.tick(now)

    def reconnect_accepted(self, now: float) -> None:
        """Handle MetaApi's `response` to the `reconnect`: off until the next `authenticated`."""
        if not self._reconnect.authenticated:
            self._belief.off(Status.RECONNECTING)
        self.tick(now)

    def reconnect_ended(
        self, now: float, *, authenticated: bool, elsewhere: bool = False
    ) -> None:
        """Take the outcome; where no terminal is shown, or no subscription is, subscribe again at once."""
        self._reconnect.running = False
        if not authenticated and self._belief.terminal is False:
            self._belief.reason = Status.RECONNECT_FAILED
        for one in self._places.values():
            if elsewhere or not (one.sight.up and one.subscription.subscribed):
                one.subscription.want(now)
                one.subscription.urged = False
        self.tick(now)

    # -- events of the account -----------------------------------------------------------------

    def authenticated(
        self,
        place: PlaceT,
        key: HostKey,
        session_id: str | None,
        now: float,
        *,
        alone: bool = False,
    ) -> bool:
        """Take an `authenticated`; return False for a stale answer to an earlier socket.

        `alone` says that MetaApi runs no other terminal for the account (`replicas` is 1).
        """
        one = self._places[place]
        if one.sight.is_foreign(session_id):
            one.subscription.urge(now)
            self.tick(now)
            return False
        one.sight.authenticated(key, now, alone=alone)
        one.subscription.authenticated(now, socket_open=one.sight.socket_open)
        self._belief.on()
        self._reconnect.authenticated = True
        if self._belief.rest.forbids:
            # REST is behind: where nothing subscribed meanwhile, do
            self._belief.rest = _Rest(self._belief.rest.deployed or None)
            for other in self._places.values():
                if not other.sight.up:
                    other.subscription.want(now)
        self.tick(now)
        return True

    def status(
        self,
        place: PlaceT,
        key: HostKey,
        *,
        connected: bool | None,
        authenticated: bool | None,
        now: float,
    ) -> bool:
        """Take a `status`, the periodic sign of life of a terminal; return False if it told nothing new."""
        one = self._places[place]
        sight = one.sight
        host = sight.hosts.get(key)
        if (
            host is not None
            and host.fresh
            and one.subscription.subscribed
            and authenticated is not False
            and (connected is None or connected is host.broker)
        ):
            host.silence.since = now
            return False
        one.subscription.seen(up=sight.up)
        found = sight.find(key)
        if authenticated is False:
            # of a host that nobody knows: another place may be the one that has the account
            if found or len(self._places) == 1:
                pause = self._timing.subscribe_first
                self._belief.remove(one, found, Status.DISCONNECTED, now, pause)
        elif not sight.status(found, key, connected, now) and not sight.up:
            one.subscription.urge(now)
        self.tick(now)
        return True

    def disconnected(self, place: PlaceT, key: HostKey, now: float) -> None:
        """Take a `disconnected`: that terminal process has gone from MetaApi's server."""
        one = self._places[place]
        one.subscription.seen(up=one.sight.up)
        if found := one.sight.find(key):
            first = self._timing.subscribe_first
            pause = self._jitter(first / 3, first * 5 / 3)
            self._belief.remove(one, found, Status.DISCONNECTED, now, pause)
        self.tick(now)

    # -- facts that do not come by a socket ----------------------------------------------------

    def facts(
        self, now: float, *, deployed: bool | None = None, exists: bool = True
    ) -> None:
        """Take what REST says; `deployed` None means that REST cannot be asked."""
        forbade = self._belief.rest.forbids
        self._belief.rest = _Rest(
            deployed if exists else self._belief.rest.deployed, exists
        )
        if self._belief.rest.deployed is False and not self._belief.is_off:
            self._belief.off(Status.NOT_DEPLOYED)
        if not self._belief.rest.forbids:
            if self._belief.reason is Status.NOT_DEPLOYED:
                self._belief.reason = self._belief.reason_of_its_own
            for one in self._places.values():
                unknown = deployed and one.subscription.refusal is Status.NOT_FOUND
                if forbade or unknown:
                    one.subscription.want(now)
                if forbade and unknown:
                    one.subscription.floor.lift(now)
        self.tick(now)

    def hold(self, until: float, now: float) -> None:
        """Send no subscribe before a moment: the user's quota of subscriptions is used up.

        What that shows waits for the next `tick`, which is due at once: a thousand accounts are held together.
        """
        self._held_until = until
        # one that is overdue keeps its turn
        self.deadline = min(self.deadline, now)

    def token_refused(self, now: float) -> None:
        """Note that MetaApi refuses the token: nothing is known any more."""
        self._token_refused = True
        self.tick(now)

    # -- the clock -----------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Let the clock decide what is due, and work out the state anew."""
        self._belief.judge_rounds(now)
        self._apply_hold(now)
        self._belief.look_around(now)
        self._ask(now)
        self.state = show(
            self._belief.facts(
                token_refused=self._token_refused,
                reconnecting=self._reconnect.running,
            )
        )
        self.deadline = min((end for end in self._ends() if end > now), default=inf)

    def _apply_hold(self, now: float) -> None:
        """Take the user's limit for the answer to each subscribe that it holds back, until one comes.

        A socket on which the account's events come, or an answer of its own, says more.
        """
        if now >= self._held_until or self._belief.rest.forbids:
            return
        for one in self._places.values():
            subscription = one.subscription
            if (
                one.sight.socket_open
                and subscription.refusal is None
                and subscription.wanted_at is not None
                and not (
                    one.sight.up or subscription.subscribed or subscription.in_flight
                )
            ):
                subscription.refusal = Status.QUOTA_EXHAUSTED

    def _due(self, one: _Served) -> float:
        """Return when a place's next subscribe goes out."""
        if (
            self._reconnect.running
            or self._token_refused
            or self._belief.rest.forbids
            or not one.sight.socket_open
        ):
            return inf
        return one.subscription.due(self._held_until)

    def _ask(self, now: float) -> None:
        """Ask for the subscribes and probes that are due."""
        for place, one in self._places.items():
            if now >= self._due(one):
                one.subscription.send(now)
                self.pending.append((Action.SUBSCRIBE, place))
            if one.sight.wants_probe(now):
                one.sight.probing = True
                self.pending.append((Action.PROBE, place))

    def _ends(self) -> Iterator[float]:
        """Yield when the clock alone can change something; what is past was looked at."""
        yield from self._belief.ends()
        for one in self._places.values():
            yield self._due(one)

    # -- helpers -------------------------------------------------------------------------------

    def _new_place(self, now: float) -> _Served:
        """Return a place of which nothing is known."""
        down = Clock(self._timing.blind, now)
        return _Served(Sight(self._timing, down), Subscription(self._timing))
