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
from dataclasses import dataclass
from enum import Enum
from math import inf
import random
from typing import Any

from ..errors import MetaApiError, TooManyRequestsError
from ..model import AccountState, Status
from ..timing import Timing
from .clock import Clock, soonest
from .evidence import Evidence
from .reads import BROKER_AWAY, CONNECTED, DISCONNECTED, Reads
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


_TERMINAL_RUNS = (CONNECTED, BROKER_AWAY)

_VETOES = (Status.QUOTA_EXHAUSTED, Status.FORBIDDEN)
"""Refusals that leave open whether the terminal runs; `NotFoundError` says that it runs elsewhere, if at all."""


@dataclass(slots=True)
class _Served:
    """One place: what it shows, and how it is asked."""

    sight: Sight
    subscription: Subscription

    def answered(
        self,
        now: float,
        error: MetaApiError | None,
        retry_after: float | None,
        *,
        deployed_lately: bool,
    ) -> None:
        """Take the answer to a subscribe."""
        rule = subscribe_rule(error)
        subscription = self.subscription
        floor = floor_after(
            rule.retry, retry_after, subscription.limits, subscription.timing
        )
        if rule.evidence is Evidence.INVALID and deployed_lately:
            # MetaApi is late to know
            floor = 0.0
        subscription.answered(
            now,
            rule.evidence,
            rule.refusal,
            floor=floor,
            passing=rule.passing,
            limited=isinstance(error, TooManyRequestsError),
            up=self.sight.up,
        )

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
class _Belief[PlaceT: Hashable]:
    """What is held to be true of the terminal, and on which evidence."""

    timing: Timing
    places: dict[PlaceT, _Served]
    rest: Reads
    patience: float
    """A terminal may be silent for so many seconds."""
    alone: PlaceT | None = None
    """Where the only terminal is, as MetaApi says; nothing subscribes elsewhere."""
    high_reliability: bool = False
    region_known: bool = True
    terminal: bool | None = None
    reason: Status = Status.UNKNOWN
    """Why it is not on."""
    out_of_sight: bool = False
    broker_away: bool = False
    ever_on: bool = False
    was_on: bool = False
    """Whether it was on in an earlier run, which tells a drop from a terminal that never worked."""

    @property
    def up(self) -> bool:
        """Return whether a terminal is shown that no loss of a socket made doubtful."""
        return any(one.sight.up for one in self.places.values())

    @property
    def is_shown(self) -> bool:
        """Return whether a socket that is open now shows a terminal."""
        return any(
            one.sight.down.since is None and one.sight.up
            for one in self.places.values()
        )

    @property
    def is_off(self) -> bool:
        """Return whether that is what is shown."""
        return self.terminal is False and not self.out_of_sight

    @property
    def reason_of_its_own(self) -> Status:
        """Return why it is off, when that is all that is known."""
        known = self.ever_on or self.was_on
        return Status.DISCONNECTED if known else Status.NEVER_AUTHENTICATED

    @property
    def last_up(self) -> list[_Served]:
        """Return the places where it was up when it was last up anywhere."""
        return [one for one in self.places.values() if one.sight.last_up]

    @property
    def opened(self) -> list[_Served]:
        """Return the places whose sockets are open."""
        return [one for one in self.places.values() if one.sight.socket_open]

    def serve(self, places: Iterable[PlaceT], now: float) -> dict[PlaceT, _Served]:
        """Take a new set of places, and return them; what is known of those that stay is kept."""
        timing = self.timing
        self.places = {
            place: self.places.get(place)
            or _Served(
                Sight(timing, Clock(timing.blind, now), self.patience),
                Subscription(timing),
            )
            for place in places
        }
        return self.places

    # -- evidence ------------------------------------------------------------------------------

    def authenticated(
        self,
        place: PlaceT,
        key: HostKey,
        session_id: str | None,
        now: float,
        *,
        alone: bool,
    ) -> bool:
        """Take an `authenticated`; return whether it counts."""
        one = self.places[place]
        if not one.sight.is_ours(key, session_id, alone=alone):
            if one.sight.socket_open:
                one.sight.heard_at = now
                one.subscription.be_urged(now)
            return False
        if one.sight.is_suspected(one.sight.find(key)):
            self.be_patient()
        one.sight.authenticated(key, now, alone=alone)
        one.subscription.authenticated(now, socket_open=one.sight.socket_open)
        self.terminal = True
        self.ever_on = True
        self.out_of_sight = False
        self.alone = place if alone and not self.high_reliability else None
        if self.rest.forbids:
            self.overrule_rest(now)
        return True

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

    def lose_sight(self, one: _Served, keys: Iterable[HostKey]) -> None:
        """Take hosts out that are silent without a subscription, which is no evidence about them."""
        one.sight.remove(keys)
        if not one.sight.hosts:
            one.subscription.round.stop()
        if any(other.sight.hosts for other in self.places.values()):
            self.note_where_up()
        else:
            self.out_of_sight = True

    def await_renewal(self) -> None:
        """Note that what is shown now was shown before a `reconnect` went out."""
        for one in self.places.values():
            for host in one.sight.hosts.values():
                host.renewed = False

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

    def overrule_rest(self, now: float) -> None:
        """Believe a terminal that shows itself: where nothing subscribed meanwhile, do."""
        self.rest.exists = True
        self.rest.deployed = self.rest.deployed or None
        for one in self.places.values():
            if not one.sight.up:
                one.subscription.want(now)

    def lift_floors(self, now: float) -> None:
        """Ask at once where a refusal may have passed."""
        for one in self.places.values():
            if one.subscription.floor.lift(now):
                one.subscription.want(now)

    def facts(self, *, token_refused: bool, reconnecting: bool) -> Facts:
        """Return what the table of what is shown looks at."""
        opened = self.opened
        refusal: Status | None = None
        timeouts = opened[0].subscription.timeouts if opened else 0
        for one in opened:
            subscription = one.subscription
            refusal = refusal or subscription.refusal
            timeouts = min(timeouts, subscription.timeouts)
        return Facts(
            token_refused=token_refused,
            gone=not self.rest.exists,
            out_of_sight=self.out_of_sight,
            reconnecting=reconnecting,
            refusal=refusal,
            socket_open=bool(opened),
            deployed=self.rest.deployed,
            terminal=self.terminal,
            broker=self._broker,
            broker_away=self.broker_away,
            reason=self.reason,
            timeouts=timeouts,
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


@dataclass(slots=True)
class _Judge[PlaceT: Hashable]:
    """Decides what the clock says about the terminal.

    Nothing is judged before a ping that was sent after the clock's end was answered: the pong comes behind all
    that was queued, however long our own loop stood still.
    """

    timing: Timing
    belief: _Belief[PlaceT]
    unknown: Clock
    """Runs until the first verdict."""
    unseen: Clock
    """Runs while no open socket shows a terminal that is on."""

    def judge(self, now: float, *, reconnecting: bool) -> None:
        """Let the clock decide what is due; nobody can be asked for during a reconnect."""
        for one in self.belief.opened:
            if gone := one.sight.gone():
                self.belief.remove(one, gone, Status.SILENT, now)
            if silent := one.sight.silent():
                if not one.subscription.subscribed:
                    self.belief.lose_sight(one, silent)
                elif not reconnecting:
                    self._suspect(one, silent, now)
        self._check_alone(now)
        if self.belief.up:
            self._forget_stale(now)
        elif not self.belief.is_off:
            self._judge_rounds(now)

    def _suspect(self, one: _Served, silent: Iterable[HostKey], now: float) -> None:
        """Ask for silent hosts in every place: a subscribe brings what lives to show itself."""
        for key in silent:
            one.sight.hosts[key].suspicion.start(now)
        for other in self.belief.places.values():
            if not other.subscription.in_flight:
                other.subscription.want_once(now)

    def _check_alone(self, now: float) -> None:
        """Ask in the other places again once the only terminal is lost, or silent."""
        if self.belief.alone is None:
            return
        only = self.belief.places.get(self.belief.alone)
        if only is None or not only.sight.is_well or self.belief.high_reliability:
            self.belief.alone = None
            for one in self.belief.places.values():
                # its own place has a pause of its own
                if one is not only and one.sight.socket_open and not one.sight.up:
                    one.subscription.want(now)

    def _forget_stale(self, now: float) -> None:
        """Drop what only earlier sockets showed, where another place shows the account."""
        for one in self.belief.places.values():
            if one.has_settled or one.sight.down.over(now):
                one.sight.forget_stale()
        self.belief.note_where_up()

    def _judge_rounds(self, now: float) -> None:
        """Judge the subscribe rounds that are over."""
        last = self.belief.last_up
        judges = last or self._witnesses(now)
        if not (
            judges
            and self.belief.region_known
            and all(one.has_settled for one in judges)
        ):
            return
        heard = set[Evidence]().union(*(one.subscription.heard for one in judges))
        mute = any(not one.subscription.heard for one in judges)
        away = Evidence.AWAY in heard and Evidence.ACCEPTED not in heard
        since = max(one.subscription.round.began for one in judges)
        said = None
        if mute or away or heard == {Evidence.INVALID}:
            said = self.belief.rest.said_since(since, now)
            if said is None and self.belief.rest.may_still_say(since, now):
                return
        if away and said == BROKER_AWAY:
            if self.belief.terminal and not self.belief.out_of_sight:
                return
        elif said in _TERMINAL_RUNS and (mute or heard == {Evidence.INVALID}):
            self.belief.out_of_sight = True
            return
        elif mute and said != DISCONNECTED and (last or not heard):
            return
        self.belief.off(self.belief.reason_of_its_own)

    def _witnesses(self, now: float) -> list[_Served]:
        """Return the places whose rounds decide about a terminal that was up nowhere; none before all can."""
        opened = self.belief.opened
        for one in self.belief.places.values():
            if not one.sight.socket_open:
                # away only for a moment, it may be the one that has the account
                if not (self.belief.ever_on or one.sight.down.over(now)):
                    return []
            elif one.subscription.refusal in _VETOES or (
                one.subscription.is_under_way(now) and not one.has_settled
            ):
                return []
        return [one for one in opened if one.has_settled]

    def look_around(self, now: float) -> None:
        """Find out whether we can see the account; once out of sight, only evidence makes us see again."""
        if self.belief.is_shown:
            self.unknown.stop()
            self.unseen.stop()
            self.belief.broker_away = False
            return
        self.unknown.run_while(self.belief.terminal is None, now)
        self.belief.broker_away = not self.belief.up and any(
            one.subscription.is_away
            and self.belief.rest.said_since(one.subscription.round.began, now)
            == BROKER_AWAY
            for one in self.belief.last_up or self.belief.places.values()
        )
        self.unseen.run_while(
            bool(self.belief.terminal)
            and not self.belief.up
            and not self.belief.broker_away,
            now,
        )
        if self.belief.rest.deployed is False:
            self.belief.out_of_sight = False
        elif self.unknown.over(now) or self._is_blind(now) or self._is_unseen(now):
            self.belief.out_of_sight = True

    def _is_blind(self, now: float) -> bool:
        """Return whether no place can show the account: its socket is down, or its subscribe refused."""
        if last := self.belief.last_up:
            return all(
                one.is_refused if one.sight.socket_open else one.sight.down.over(now)
                for one in last
            )
        if opened := self.belief.opened:
            return all(one.is_refused for one in opened)
        return bool(self.belief.places) and all(
            one.sight.down.over(now) for one in self.belief.places.values()
        )

    def _is_unseen(self, now: float) -> bool:
        """Return whether an on was not shown for too long, by all that came on our sockets."""
        return self.unseen.over(now) and all(
            one.sight.read_until >= self.unseen.ends for one in self.belief.opened
        )

    def wants_ping(self, one: _Served, now: float) -> bool:
        """Return whether something can be judged once the socket of a place was read up to now."""
        sight = one.sight
        if not sight.socket_open or sight.probing:
            return False
        read = sight.read_until
        for moment in sight.moments():
            if read < moment <= now:
                return True
        settles_at = one.subscription.settles_at
        if read < settles_at <= now and (
            not all(host.fresh for host in sight.hosts.values())
            if self.belief.up
            else not self.belief.is_off
        ):
            return True
        return read < self.unseen.ends <= now

    def next_question(self) -> float:
        """Return when to ask REST about the account."""
        when = self.belief.rest.again.ends
        if self.belief.up or self.belief.rest.forbids:
            return when
        for one in self.belief.opened:
            since = one.subscription.round.since
            if since is not None and (
                one.subscription.is_away or not self.belief.is_off
            ):
                doubtful_at = one.subscription.doubtful_at
                when = min(when, self.belief.rest.next_question(since, doubtful_at))
        return when

    def next_end(self, now: float) -> float:
        """Return when the clock alone can change something; what is past was looked at."""
        rest = self.belief.rest
        first = soonest(
            now,
            self.unknown.ends,
            self.unseen.ends,
            rest.asked.ends,
            rest.believed.ends,
        )
        for one in self.belief.places.values():
            if one.sight.socket_open:
                subscription = one.subscription
                first = soonest(
                    now,
                    first,
                    subscription.round.ends,
                    subscription.settles_at,
                    *one.sight.moments(),
                )
            else:
                first = soonest(now, first, one.sight.down.ends)
        return first


@dataclass(slots=True)
class _Asker[PlaceT: Hashable]:
    """Decides what goes out: subscribes, pings and questions to REST."""

    belief: _Belief[PlaceT]
    judge: _Judge[PlaceT]
    id_of: Callable[[PlaceT], Hashable]
    held_until: float
    """Until when the user's quota holds every subscribe back."""
    reconnecting: bool = False
    token_refused: bool = False

    def due(self, place: PlaceT, one: _Served) -> float:
        """Return when a place's next subscribe goes out; infinity if none does."""
        alone = self.belief.alone
        if (
            not one.sight.socket_open
            or self.reconnecting
            or self.token_refused
            or self.belief.rest.forbids
            or (
                alone not in (None, place)
                and not one.sight.up
                and self.id_of(place) == self.id_of(alone)
            )
        ):
            return inf
        return one.subscription.due(self.held_until)

    def want_now(self, place: PlaceT, now: float) -> bool:
        """Make a place's subscribe due at once; return False where something forbids that."""
        one = self.belief.places[place]
        if one.subscription.in_flight:
            return False
        wanted, one.subscription.wanted_at = one.subscription.wanted_at, now
        if now < self.due(place, one):
            one.subscription.wanted_at = wanted
            return False
        return True

    def ask(self, now: float) -> Iterator[tuple[Action, PlaceT | None]]:
        """Yield what is due."""
        for place, one in self.belief.places.items():
            if now >= self.due(place, one):
                one.subscription.send(now)
                yield Action.SUBSCRIBE, place
            if self.judge.wants_ping(one, now):
                one.sight.probing = True
                yield Action.PROBE, place
        if now >= self.judge.next_question() and not self.token_refused:
            self.belief.rest.ask(now)
            yield Action.ASK_REST, None

    def apply_hold(self, now: float) -> None:
        """Take the user's limit for the answer to each subscribe that it holds back."""
        if now < self.held_until and not self.belief.rest.forbids:
            for one in self.belief.opened:
                if not one.sight.up:
                    one.subscription.hold()

    def next_end(self, now: float) -> float:
        """Return when something is due that is not yet."""
        dues = [self.due(place, one) for place, one in self.belief.places.items()]
        if not self.token_refused:
            dues.append(self.judge.next_question())
        return soonest(now, *dues)


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
        was_on: bool = False,
    ) -> None:
        """Start without knowing how it is; `places` are those where the account can be seen.

        `id_of` returns the id that the account has in a place: its own, or that of a replica. `was_on`
        says that an earlier run saw it on.
        """
        self.pending: list[tuple[Action, PlaceT | None]] = []
        """What is to be done. A subscribe of a place where one is unanswered replaces that one."""
        self.state = AccountState()
        self.deadline = now
        """When `tick` has something to do at the earliest."""
        self._timing = timing = timing or Timing()
        self._jitter = jitter
        self._belief = _Belief[PlaceT](
            timing, {}, Reads(timing), timing.silence, was_on=was_on
        )
        self._judge = _Judge(
            timing,
            self._belief,
            unknown=Clock(timing.unknown, now),
            unseen=Clock(timing.blind + timing.round),
        )
        self._asker = _Asker(self._belief, self._judge, id_of, held_until=now)
        self.set_places(places, now)

    @property
    def reconnecting(self) -> bool:
        """Return whether a `reconnect` is under way, during which nothing subscribes."""
        return self._asker.reconnecting

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
            | one.subscription.describe(now, self._asker.due(place, one))
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
        self._belief.region_known = region_known
        self._places = self._belief.serve(places, now)
        self.tick(now)

    def socket_up(
        self,
        place: PlaceT,
        session_id: str,
        now: float,
        spread: float = 0.0,
        *,
        with_others: bool = False,
    ) -> None:
        """Handle the opening of a place's socket, with a session of its own; subscribe within `spread`.

        `with_others`: what that shows waits for the next `tick`, which is due at once.
        """
        one = self._places[place]
        early = one.sight.open_socket(session_id)
        one.subscription.forget_socket()
        one.subscription.want(now + (self._jitter(0.0, spread) if spread else 0.0))
        for each in early:
            self._belief.authenticated(
                place, each.key, each.session_id, now, alone=each.alone
            )
        if with_others and not early:
            self._tick_soon(now)
        else:
            self.tick(now)

    def socket_down(
        self, place: PlaceT, now: float, *, with_others: bool = False
    ) -> None:
        """Handle the loss of a place's socket: its clocks stop, no news; `with_others` as in `socket_up`."""
        one = self._places[place]
        if one.sight.socket_open:
            one.sight.lose_socket(now)
            one.subscription.forget_socket()
            if with_others:
                self._tick_soon(now)
            else:
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
        lately = self._belief.rest.deployed_lately(now)
        one.answered(now, error, retry_after, deployed_lately=lately)
        self.tick(now)

    def subscribe_now(self, place: PlaceT, now: float) -> bool:
        """Subscribe at once, as for a reconnect; return False where something forbids that.

        That is a floor, less than a second since the last one, one in flight, or no socket.
        """
        wanted = self._asker.want_now(place, now)
        if wanted:
            self.tick(now)
        return wanted

    def forget_refusal(self, place: PlaceT) -> None:
        """Take back a refusal, as another server is asked from now on."""
        self._places[place].subscription.forget_refusal()

    def reconnect_sent(self, now: float) -> None:
        """Note that a `reconnect` goes out: nothing subscribes until it ended."""
        self._asker.reconnecting = True
        self._belief.await_renewal()
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
        self._asker.reconnecting = False
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
        counted = self._belief.authenticated(place, key, session_id, now, alone=alone)
        self.tick(now)
        return counted

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
            and host.suspicion.since is None
            # a silence that ended during a reconnect has no deadline any more
            and not self._asker.reconnecting
        ):
            host.silence.since = now
            if connected is None or connected is host.broker:
                return False
            host.broker = connected
            self.tick(now, settled=True)
            return True
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

    def silence(self, place: PlaceT, key: HostKey) -> Clock:
        """Return the clock that a `status` with nothing new starts afresh, and does nothing else."""
        return self._places[place].sight.hosts[key].silence

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
            self._belief.high_reliability = high_reliability
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
        self._asker.held_until = until
        self._tick_soon(now)

    def token_refused(self, now: float) -> None:
        """Note that MetaApi refuses the token: nothing is known, and nothing asked, any more."""
        self._asker.token_refused = True
        self.tick(now)

    def token_accepted(self, now: float) -> None:
        """Note that MetaApi takes the token (again)."""
        self._asker.token_refused = False
        self._belief.lift_floors(now)
        self.tick(now)

    # -- the clock -----------------------------------------------------------------------------

    def tick(self, now: float, *, settled: bool = False) -> None:
        """Let the clock decide what is due, and work out the state anew; to call it late does no harm.

        `settled` leaves out what only the clock can change, as long as nothing is due.
        """
        if not settled or now >= self.deadline:
            self._look_at_clock(now)
        self.state = show(
            self._belief.facts(
                token_refused=self._asker.token_refused,
                reconnecting=self._asker.reconnecting,
            )
        )

    def _tick_soon(self, now: float) -> None:
        """Make the next `tick` due; one that is overdue keeps its turn."""
        self.deadline = min(self.deadline, now)

    def _look_at_clock(self, now: float) -> None:
        """Let the clock decide what is due, and when it is next."""
        self._judge.judge(now, reconnecting=self._asker.reconnecting)
        self._asker.apply_hold(now)
        self._judge.look_around(now)
        self.pending += self._asker.ask(now)
        self.deadline = min(self._judge.next_end(now), self._asker.next_end(now))
