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

from ..errors import MetaApiError, TooManyRequestsError
from ..model import AccountState, Status
from ..timing import Timing
from .clock import Clock
from .evidence import Evidence
from .rules import floor_after, subscribe_rule
from .sight import HostKey, Sight
from .subscription import Subscription
from .verdict import Facts, show

__all__ = ["AccountState", "Action", "HostKey", "Status", "Terminal"]


class Action(Enum):
    """What a terminal wants done, on a place's socket or (ASK_REST) without a place."""

    SUBSCRIBE = "subscribe"
    PROBE = "probe"
    ASK_REST = "ask REST"


_CONNECTED = "CONNECTED"
_DISCONNECTED = "DISCONNECTED"
_BROKER_AWAY = "DISCONNECTED_FROM_BROKER"
"""Values of REST's `connectionStatus` (documentation, "Read account")."""

_TERMINAL_RUNS = (_CONNECTED, _BROKER_AWAY)

_VETOES = (Status.QUOTA_EXHAUSTED, Status.FORBIDDEN)
"""Refusals that leave open whether the terminal runs; `NotFoundError` says that it runs elsewhere, if at all."""

_PER_HOUR = 12
"""Floors in an hour."""


@dataclass(slots=True)
class _Served:
    """One place: what it shows, and how it is asked."""

    sight: Sight
    subscription: Subscription

    @property
    def has_settled(self) -> bool:
        """Return whether its round can be judged."""
        return self.sight.socket_open and (
            self.sight.read_until >= self.subscription.settles_at
        )

    @property
    def is_refused(self) -> bool:
        """Return whether it shows nothing because the subscribe is refused."""
        return self.subscription.refusal is not None and not self.sight.up


@dataclass(slots=True)
class _Rest:
    """What REST said of the account, and when it is to be asked."""

    timing: Timing
    believed: Clock = field(init=False)
    """Runs from when the last read that counts began."""
    asked: Clock = field(init=False)
    """Runs from when it was last asked because of this account."""
    again: Clock = field(init=False)
    """Runs from a read that did not count."""
    news: Clock = field(init=False)
    """Runs from the news that the account is deployed."""
    deployed: bool | None = None
    exists: bool = True
    connection: str | None = None
    """`connectionStatus` of the last read that counts."""

    def __post_init__(self) -> None:
        """Set the clocks."""
        self.believed = Clock(self.timing.rest_believed)
        self.asked = Clock(self.timing.rest_wait)
        self.again = Clock(self.timing.rest_again)
        self.news = Clock(self.timing.deployed_lately)

    @property
    def forbids(self) -> bool:
        """Return whether it says that there is nothing to subscribe to."""
        return self.deployed is False or not self.exists

    def deployed_lately(self, now: float) -> bool:
        """Return whether the account was deployed a short while ago."""
        return self.news.running and not self.news.over(now)

    def read(
        self,
        now: float,
        *,
        deployed: bool | None,
        exists: bool,
        connection: str | None,
        read_since: float | None,
    ) -> bool:
        """Take a read; return whether it brings good news."""
        is_deployed = deployed is True and not (self.exists and self.deployed)
        is_connected = connection == _CONNECTED and self.connection != _CONNECTED
        self.exists = exists
        if exists:
            self.deployed = deployed
        if connection is not None:
            self.connection = connection
            self.believed.start(now if read_since is None else read_since)
        hour = _PER_HOUR * self.timing.refused_floor
        if is_deployed and (self.news.since is None or now >= self.news.since + hour):
            self.news.start(now)
        return exists and (is_deployed or is_connected)

    def said_since(self, since: float, now: float) -> str | None:
        """Return the `connectionStatus` of a read that began after a moment, while it is believed."""
        if (
            self.believed.since is None
            or self.believed.since < since
            or self.believed.over(now)
        ):
            return None
        return self.connection

    def ask(self, now: float) -> None:
        """Note that it is asked."""
        self.asked.start(now)
        self.again.stop()

    def may_still_say(self, since: float, now: float) -> bool:
        """Return whether an answer to a question about a time is to be awaited."""
        asked = self.asked.since
        return asked is None or asked < since or not self.asked.over(now)

    def next_question(self, since: float, doubtful_at: float) -> float:
        """Return when to ask about a round that began at `since` and is doubtful from a moment on."""
        known = max(self.asked.began, self.believed.began)
        timing = self.timing
        pause = timing.rest_again if known < since else timing.rest_period
        return max(doubtful_at, known + pause)


@dataclass(slots=True)
class _Belief[PlaceT: Hashable]:
    """What is held to be true of the terminal, and on which evidence.

    Nothing is judged by the clock before a ping that was sent after the clock's end was answered: the pong
    comes behind all that was queued, however long our own loop stood still.
    """

    timing: Timing
    places: dict[PlaceT, _Served]
    rest: _Rest
    unknown: Clock
    """Runs until the first verdict."""
    unseen: Clock
    """Runs while no open socket shows a terminal that is on."""
    patience: float
    """A terminal may be silent for so many seconds."""
    alone: PlaceT | None = None
    """Where the only terminal is, as MetaApi says; nothing subscribes elsewhere."""
    region_known: bool = True
    terminal: bool | None = None
    reason: Status = Status.UNKNOWN
    """Why it is not on."""
    out_of_sight: bool = False
    broker_away: bool = False
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

    @property
    def last_up(self) -> list[_Served]:
        """Return the places where it was up when it was last up anywhere."""
        return [one for one in self.places.values() if one.sight.last_up]

    @property
    def opened(self) -> list[_Served]:
        """Return the places whose sockets are open."""
        return [one for one in self.places.values() if one.sight.socket_open]

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
            one.sight.remove(list(one.sight.hosts))
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

    def _lose_sight(self, one: _Served, keys: Iterable[HostKey]) -> None:
        """Take hosts out that are silent without a subscription, which is no evidence about them."""
        one.sight.remove(keys)
        if not one.sight.hosts:
            one.subscription.round.stop()
        if any(other.sight.hosts for other in self.places.values()):
            self.note_where_up()
        else:
            self.out_of_sight = True

    def restart(self, places: Iterable[_Served]) -> None:
        """Take out the hosts that a `reconnect` was accepted for and that did not show themselves since."""
        for one in places:
            old = [key for key, host in one.sight.hosts.items() if not host.renewed]
            one.sight.remove(old)
        if any(one.sight.hosts for one in self.places.values()):
            self.note_where_up()
        else:
            self.off(Status.RECONNECTING)

    def note_where_up(self) -> None:
        """Remember in which places the account is up, for when it is up nowhere any more."""
        for one in self.places.values():
            one.sight.last_up = bool(one.sight.hosts)

    def be_patient(self) -> None:
        """Grant more silence from now on, as a terminal that was suspected is there."""
        self.patience = self.timing.silence_refuted
        for one in self.places.values():
            one.sight.be_patient(self.patience)

    def read(
        self,
        now: float,
        *,
        deployed: bool | None,
        exists: bool,
        connection: str | None,
        read_since: float | None,
    ) -> None:
        """Take what REST says."""
        signs = (one.sight.last_sign for one in self.places.values())
        if read_since is not None and any(sign > read_since for sign in signs):
            connection = None
            if deployed is False or not exists:
                self.rest.again.start(now)
                return
        forbade = self.rest.forbids
        good_news = self.rest.read(
            now,
            deployed=deployed,
            exists=exists,
            connection=connection,
            read_since=read_since,
        )
        if self.rest.deployed is False and not self.is_off:
            self.off(Status.NOT_DEPLOYED)
        if self.rest.forbids:
            return
        if self.reason is Status.NOT_DEPLOYED:
            self.reason = self.reason_of_its_own
        if forbade:
            for one in self.places.values():
                one.subscription.want(now)
        if good_news:
            self.lift_floors(now)

    def lift_floors(self, now: float) -> None:
        """Ask at once where a refusal may have passed."""
        for one in self.places.values():
            if one.subscription.floor.lift(now):
                one.subscription.want(now)

    # -- the clock -----------------------------------------------------------------------------

    def judge(self, now: float, *, reconnecting: bool) -> None:
        """Let the clock decide what is due; nobody can be asked for during a reconnect."""
        for one in self.opened:
            if gone := one.sight.gone():
                self.remove(one, gone, Status.SILENT, now)
            if silent := one.sight.silent():
                if not one.subscription.subscribed:
                    self._lose_sight(one, silent)
                elif not reconnecting:
                    self._suspect(one, silent, now)
        self._check_alone(now)
        if self.up:
            self._forget_stale(now)
        elif not self.is_off:
            self._judge_rounds(now)
        self.look_around(now)

    def _suspect(self, one: _Served, silent: Iterable[HostKey], now: float) -> None:
        """Ask for silent hosts in every place: a subscribe brings what lives to show itself."""
        for key in silent:
            one.sight.hosts[key].suspicion.start(now)
        for other in self.places.values():
            if not other.subscription.in_flight:
                other.subscription.want_once(now)

    def _check_alone(self, now: float) -> None:
        """Ask in the other places again once the only terminal is lost, or silent."""
        if self.alone is None:
            return
        only = self.places.get(self.alone)
        if only is None or not only.sight.is_well:
            self.alone = None
            for one in self.places.values():
                if one.sight.socket_open and not one.sight.up:
                    one.subscription.want(now)

    def _forget_stale(self, now: float) -> None:
        """Drop what only earlier sockets showed, where another place shows the account."""
        for one in self.places.values():
            if one.has_settled or one.sight.down.over(now):
                one.sight.forget_stale()
        self.note_where_up()

    def _judge_rounds(self, now: float) -> None:
        """Judge the subscribe rounds that are over."""
        last = self.last_up
        judges = last or self._witnesses(now)
        if not (
            judges and self.region_known and all(one.has_settled for one in judges)
        ):
            return
        heard = set[Evidence]().union(*(one.subscription.heard for one in judges))
        mute = any(not one.subscription.heard for one in judges)
        away = Evidence.AWAY in heard and Evidence.ACCEPTED not in heard
        since = max(one.subscription.round.began for one in judges)
        said = None
        if mute or away or heard == {Evidence.INVALID}:
            said = self.rest.said_since(since, now)
            if said is None and self.rest.may_still_say(since, now):
                return
        if away and said == _BROKER_AWAY:
            if self.terminal and not self.out_of_sight:
                return
        elif said in _TERMINAL_RUNS and (mute or heard == {Evidence.INVALID}):
            self.out_of_sight = True
            return
        elif mute and said != _DISCONNECTED and (last or not heard):
            return
        self.off(self.reason_of_its_own)

    def _witnesses(self, now: float) -> list[_Served]:
        """Return the places whose rounds decide about a terminal that was up nowhere; none before all can."""
        opened = self.opened
        for one in self.places.values():
            if not one.sight.socket_open:
                # away only for a moment, it may be the one that has the account
                if not (self.ever_on or one.sight.down.over(now)):
                    return []
            elif one.subscription.refusal in _VETOES or (
                one.subscription.is_under_way(now) and not one.has_settled
            ):
                return []
        return [one for one in opened if one.has_settled]

    def look_around(self, now: float) -> None:
        """Find out whether we can see the account; once out of sight, only evidence makes us see again."""
        self.unknown.run_while(self.terminal is None, now)
        self.broker_away = not self.up and any(
            one.subscription.is_away
            and self.rest.said_since(one.subscription.round.began, now) == _BROKER_AWAY
            for one in self.last_up or self.places.values()
        )
        self.unseen.run_while(
            bool(self.terminal) and not self.up and not self.broker_away, now
        )
        if self.rest.deployed is False:
            self.out_of_sight = False
        elif self.unknown.over(now) or self._is_blind(now) or self._is_unseen(now):
            self.out_of_sight = True

    def _is_blind(self, now: float) -> bool:
        """Return whether no place can show the account: its socket is down, or its subscribe refused."""
        if last := self.last_up:
            return all(
                one.is_refused if one.sight.socket_open else one.sight.down.over(now)
                for one in last
            )
        if opened := self.opened:
            return all(one.is_refused for one in opened)
        return bool(self.places) and all(
            one.sight.down.over(now) for one in self.places.values()
        )

    def _is_unseen(self, now: float) -> bool:
        """Return whether an on was not shown for too long, by all that came on our sockets."""
        return self.unseen.over(now) and all(
            one.sight.read_until >= self.unseen.ends for one in self.opened
        )

    def wants_ping(self, one: _Served, now: float) -> bool:
        """Return whether something can be judged once the socket of a place was read up to now."""
        sight = one.sight
        if not sight.socket_open or sight.probing:
            return False
        read = sight.read_until
        if any(read < moment <= now for moment in sight.moments()):
            return True
        settles_at = one.subscription.settles_at
        if read < settles_at <= now and (
            not all(host.fresh for host in sight.hosts.values())
            if self.up
            else not self.is_off
        ):
            return True
        return read < self.unseen.ends <= now

    def next_question(self) -> float:
        """Return when to ask REST about the account."""
        when = self.rest.again.ends
        if self.up or self.rest.forbids:
            return when
        for one in self.opened:
            since = one.subscription.round.since
            if since is not None and (one.subscription.is_away or not self.is_off):
                doubtful_at = one.subscription.doubtful_at
                when = min(when, self.rest.next_question(since, doubtful_at))
        return when

    def ends(self) -> Iterator[float]:
        """Yield when its clocks are over."""
        yield self.unknown.ends
        yield self.unseen.ends
        yield self.rest.asked.ends
        yield self.rest.believed.ends
        yield self.next_question()
        for one in self.places.values():
            if one.sight.socket_open:
                yield from one.sight.moments()
                yield from one.subscription.ends()
            else:
                yield one.sight.down.ends

    def facts(self, *, token_refused: bool, reconnecting: bool) -> Facts:
        """Return what the table of what is shown looks at."""
        opened = self.opened
        refusals = (one.subscription.refusal for one in opened)
        return Facts(
            token_refused=token_refused,
            gone=not self.rest.exists,
            out_of_sight=self.out_of_sight,
            reconnecting=reconnecting,
            refusal=next(filter(None, refusals), None),
            socket_open=bool(opened),
            deployed=self.rest.deployed,
            terminal=self.terminal,
            broker=self._broker,
            broker_away=self.broker_away,
            reason=self.reason,
            timeouts=min((one.subscription.timeouts for one in opened), default=0),
        )

    @property
    def _broker(self) -> bool | None:
        """Return whether a terminal is connected to the broker."""
        if self.broker_away:
            return False
        brokers = [
            host.broker
            for one in self.places.values()
            for host in one.sight.hosts.values()
        ]
        return True if True in brokers else False if False in brokers else None


class Terminal[PlaceT: Hashable]:
    """The terminal of one account."""

    def __init__(
        self,
        places: Iterable[PlaceT],
        now: float,
        *,
        timing: Timing | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
        id_of: Callable[[PlaceT], Hashable] = lambda place: None,
    ) -> None:
        """Start without knowing anything; `places` are those where the account can be seen.

        `id_of` returns the id that the account has in a place: its own, or that of a replica.
        """
        self.pending: list[tuple[Action, PlaceT | None]] = []
        """What is to be done. A subscribe of a place where one is unanswered replaces that one."""
        self.state = AccountState()
        self.deadline = now
        """When `tick` has something to do at the earliest."""
        self._timing = timing = timing or Timing()
        self._jitter = jitter
        self._id_of = id_of
        self._belief = _Belief[PlaceT](
            timing,
            {},
            _Rest(timing),
            unknown=Clock(timing.unknown, now),
            unseen=Clock(timing.blind + timing.round),
            patience=timing.silence,
        )
        self._reconnecting = False
        self._high_reliability = False
        self._token_refused = False
        self._held_until = now
        self.set_places(places, now)

    @property
    def reconnecting(self) -> bool:
        """Return whether a `reconnect` is under way, during which nothing subscribes."""
        return self._reconnecting

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

    def subscribed(self, place: PlaceT) -> bool:
        """Return whether the socket of a place is known to hold a subscription."""
        return self._places[place].subscription.subscribed

    def diagnostics(self, now: float) -> dict[PlaceT, dict[str, Any]]:
        """Return what each place knows, for a person; seconds count back or ahead from `now`."""
        return {
            place: one.sight.describe(now)
            | one.subscription.describe(now, self._due(place, one))
            for place, one in self._places.items()
        }

    # -- our sockets ---------------------------------------------------------------------------

    def set_places(
        self, places: Iterable[PlaceT], now: float, *, region_known: bool = True
    ) -> None:
        """Take a new set of places; what is known of those that stay is kept.

        Where the region is not known, the global URL may lead to another one than the account's, and what
        is answered there is no evidence.
        """
        timing, belief = self._timing, self._belief
        belief.region_known = region_known
        belief.places = {
            place: belief.places.get(place)
            or _Served(
                Sight(timing, Clock(timing.blind, now), belief.patience),
                Subscription(timing),
            )
            for place in places
        }
        self.tick(now)

    def socket_up(
        self, place: PlaceT, session_id: str, now: float, spread: float = 0.0
    ) -> None:
        """Handle the opening of a place's socket, with a session of its own; subscribe within `spread`."""
        one = self._places[place]
        early = one.sight.open_socket(session_id)
        one.subscription.forget_socket()
        one.subscription.want(now + (self._jitter(0.0, spread) if spread else 0.0))
        for event in early:
            self.authenticated(
                place, event.key, event.session_id, now, alone=event.alone
            )
        self.tick(now)

    def socket_down(self, place: PlaceT, now: float) -> None:
        """Handle the loss of a place's socket: no news about the account, its clocks stop."""
        one = self._places[place]
        if one.sight.socket_open:
            one.sight.lose_socket(now)
            one.subscription.forget_socket()
            self.tick(now)

    def probe_answered(self, place: PlaceT, sent_at: float, now: float) -> None:
        """Handle the answer to a ping that was sent at `sent_at`: all that came before it was taken."""
        sight = self._places[place].sight
        sight.probing = False
        sight.read_until = max(sight.read_until, sent_at)
        self.tick(now)

    # -- requests ------------------------------------------------------------------------------

    def subscribe_answered(
        self,
        place: PlaceT,
        now: float,
        error: MetaApiError | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Handle the answer to a subscribe; `retry_after` is what a 429 recommends, in seconds."""
        one = self._places[place]
        if not one.sight.socket_open:
            return
        rule = subscribe_rule(error)
        subscription = one.subscription
        floor = floor_after(rule.retry, retry_after, subscription.limits, self._timing)
        if rule.evidence is Evidence.INVALID and self._belief.rest.deployed_lately(now):
            floor = 0.0
        subscription.answered(
            now,
            rule.evidence,
            rule.refusal,
            floor=floor,
            passing=rule.passing,
            limited=isinstance(error, TooManyRequestsError),
            up=one.sight.up,
        )
        self.tick(now)

    def subscribe_now(self, place: PlaceT, now: float) -> bool:
        """Subscribe at once, as for a reconnect; return False where something forbids that.

        That is a floor, less than a second since the last one, one in flight, or no socket.
        """
        one = self._places[place]
        if one.subscription.in_flight:
            return False
        wanted, one.subscription.wanted_at = one.subscription.wanted_at, now
        if now < self._due(place, one):
            one.subscription.wanted_at = wanted
            return False
        self.tick(now)
        return True

    def forget_refusal(self, place: PlaceT) -> None:
        """Take back a refusal, as another server is asked from now on."""
        self._places[place].subscription.forget_refusal()

    def reconnect_sent(self, now: float) -> None:
        """Note that a `reconnect` goes out: nothing subscribes until it ended."""
        self._reconnecting = True
        for one in self._places.values():
            for host in one.sight.hosts.values():
                host.renewed = False
        self.tick(now)

    def reconnect_accepted(
        self, now: float, places: Iterable[PlaceT] | None = None
    ) -> None:
        """Handle MetaApi's `response` to the `reconnect`: where it went, terminals are down until `authenticated`.

        `places` None means all. An `authenticated` that came since the request went out counts already.
        """
        asked = self._places if places is None else places
        self._belief.restart([self._places[place] for place in asked])
        self.tick(now)

    def reconnect_ended(
        self, now: float, *, authenticated: bool, elsewhere: bool = False
    ) -> None:
        """Take the outcome; where no terminal is shown, or no subscription is, subscribe again at once."""
        self._reconnecting = False
        if not authenticated and self._belief.terminal is False:
            self._belief.reason = Status.RECONNECT_FAILED
        for one in self._places.values():
            if elsewhere or not (one.sight.up and one.subscription.subscribed):
                one.subscription.want(now)
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
        """Take an `authenticated`; return False for one that does not count, or not yet.

        That is a stale answer to an earlier socket, or one whose socket is not known to be open. `alone` says
        that MetaApi runs no other terminal for the account (`replicas` is 1).
        """
        one, belief = self._places[place], self._belief
        if not one.sight.is_ours(key, session_id, alone=alone):
            if one.sight.socket_open:
                one.sight.heard_at = now
                one.subscription.be_urged(now)
                self.tick(now)
            return False
        if one.sight.is_suspected(one.sight.find(key)):
            belief.be_patient()
        one.sight.authenticated(key, now, alone=alone)
        one.subscription.authenticated(now, socket_open=one.sight.socket_open)
        belief.on()
        belief.alone = place if alone and not self._high_reliability else None
        if belief.rest.forbids:
            # REST is behind: where nothing subscribed meanwhile, do
            belief.rest.exists = True
            belief.rest.deployed = belief.rest.deployed or None
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
            and host.suspicion.since is None
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
        else:
            sight.heard_at = now
            if sight.is_suspected(found):
                self._belief.be_patient()
            if not sight.status(found, key, connected, now) and not sight.up:
                one.subscription.be_urged(now)
        self.tick(now)
        return True

    def disconnected(self, place: PlaceT, key: HostKey, now: float) -> None:
        """Take a `disconnected`: that terminal process has gone from MetaApi's server."""
        one = self._places[place]
        one.subscription.seen(up=one.sight.up)
        one.sight.early.clear()
        if found := one.sight.find(key):
            first = self._timing.subscribe_first
            pause = self._jitter(first / 3, first * 5 / 3)
            self._belief.remove(one, found, Status.DISCONNECTED, now, pause)
        self.tick(now)

    # -- facts that do not come by a socket ----------------------------------------------------

    def facts(
        self,
        now: float,
        *,
        deployed: bool | None = None,
        exists: bool = True,
        connection: str | None = None,
        read_since: float | None = None,
        high_reliability: bool | None = None,
    ) -> None:
        """Take what REST says; `deployed` None means that REST cannot be asked.

        `connection` is its `connectionStatus`, `read_since` when the read began. A read that is older than a
        sign of life denies nothing: REST is asked again. `high_reliability`: MetaApi runs two terminals.
        """
        if high_reliability is not None:
            self._high_reliability = high_reliability
            if high_reliability:
                self._belief.alone = None
        self._belief.read(
            now,
            deployed=deployed,
            exists=exists,
            connection=connection,
            read_since=read_since,
        )
        self.tick(now)

    def hold(self, until: float, now: float) -> None:
        """Send no subscribe before a moment: the user's quota of subscriptions is used up.

        What that shows waits for the next `tick`, which is due at once: a thousand accounts are held together.
        """
        self._held_until = until
        # one that is overdue keeps its turn
        self.deadline = min(self.deadline, now)

    def token_refused(self, now: float) -> None:
        """Note that MetaApi refuses the token: nothing is known, and nothing asked, any more."""
        self._token_refused = True
        self.tick(now)

    def token_accepted(self, now: float) -> None:
        """Note that MetaApi takes the token (again)."""
        self._token_refused = False
        self._belief.lift_floors(now)
        self.tick(now)

    # -- the clock -----------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Let the clock decide what is due, and work out the state anew; to call it late does no harm."""
        belief = self._belief
        belief.judge(now, reconnecting=self._reconnecting)
        if now < self._held_until and not belief.rest.forbids:
            for one in self._places.values():
                if one.sight.socket_open and not one.sight.up:
                    one.subscription.hold()
            belief.look_around(now)
        self._ask(now)
        self.state = show(
            belief.facts(
                token_refused=self._token_refused, reconnecting=self._reconnecting
            )
        )
        self.deadline = min((end for end in self._ends() if end > now), default=inf)

    @property
    def _places(self) -> dict[PlaceT, _Served]:
        """Return the places."""
        return self._belief.places

    def _due(self, place: PlaceT, one: _Served) -> float:
        """Return when a place's next subscribe goes out."""
        alone = self._belief.alone
        if (
            not one.sight.socket_open
            or self._reconnecting
            or self._token_refused
            or self._belief.rest.forbids
            or (
                alone not in (None, place)
                and not one.sight.up
                and self._id_of(place) == self._id_of(alone)
            )
        ):
            return inf
        return one.subscription.due(self._held_until)

    def _ask(self, now: float) -> None:
        """Ask for the subscribes, pings and reads that are due."""
        for place, one in self._places.items():
            if now >= self._due(place, one):
                one.subscription.send(now)
                self.pending.append((Action.SUBSCRIBE, place))
            if self._belief.wants_ping(one, now):
                one.sight.probing = True
                self.pending.append((Action.PROBE, place))
        if now >= self._belief.next_question() and not self._token_refused:
            self._belief.rest.ask(now)
            self.pending.append((Action.ASK_REST, None))

    def _ends(self) -> Iterator[float]:
        """Yield when the clock alone can change something; what is past was looked at."""
        yield from self._belief.ends()
        for place, one in self._places.items():
            yield self._due(place, one)
