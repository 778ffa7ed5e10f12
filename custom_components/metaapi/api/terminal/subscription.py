"""Subscribing to an account in one place: the round, the pause, the floor, the refusal, what is in flight."""

from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Any

from ..model import Status
from ..timing import FLOORS_PER_HOUR, Timing
from .clock import Clock
from .evidence import Evidence


class Urge(Enum):
    """Whether an event makes us subscribe at once, though a subscribe may be unanswered."""

    NONE = "no event did since the last subscribe that was planned"
    WANTED = "that subscribe is still to go out"
    SPENT = "it went out: the next planned one comes first"


@dataclass(slots=True)
class Floor:
    """The least delay that follows a refusal; like the refusal itself, it outlives the socket."""

    hour: float
    """The time within which news lift it once, in seconds."""
    until: float = -inf
    passing: bool = False
    """Whether news of REST lift it."""
    lifted: Clock = field(init=False)
    """Runs for an hour after news lifted it."""
    skipped: float = 0.0
    """What was left of it then, in seconds: the next one is longer by that."""

    def __post_init__(self) -> None:
        """Set the clock: no more attempts in an hour for being lifted."""
        self.lifted = Clock(self.hour, -inf)

    def set(self, now: float, lasts: float, *, passing: bool) -> None:
        """Delay the next subscribe."""
        self.until = now + lasts + self.skipped
        self.passing = passing

    def lift(self, now: float) -> bool:
        """Let the next subscribe go out at once, unless that was done within the last hour."""
        if not (self.passing and self.until > now and self.lifted.over(now)):
            return False
        self.lifted.start(now)
        self.skipped = self.until - now
        self.until = now
        return True


@dataclass(slots=True)
class Subscription:
    """Whether, when and how often one place is asked for an account's events."""

    timing: Timing
    round: Clock = field(init=False)
    """Runs from the first subscribe of a round."""
    heard: frozenset[Evidence] = frozenset()
    """What was answered in the round; empty while the place is mute."""
    floor: Floor = field(init=False)
    refusal: Status | None = None
    """Why the place lets us see nothing; None if it does not refuse."""
    subscribed: bool = False
    """Whether the account's events come on this very socket."""
    asking: Clock = field(init=False)
    """Runs while a subscribe is in flight; over, the judge of the round waits for it no longer."""
    sent_at: float = -inf
    """When the last subscribe went out on this socket."""
    wanted_at: float | None = None
    """When the next one is wanted; None if none is."""
    pause: float = 0.0
    """How long to wait after the next answer, in seconds."""
    timeouts: int = 0
    """Subscribes in a row that were answered `TimeoutError`; sockets may come and go between them."""
    limits: int = 0
    """Subscribes in a row that were answered with a 429."""
    urge: Urge = Urge.NONE

    def __post_init__(self) -> None:
        """Set the clocks."""
        self.round = Clock(self.timing.round)
        self.asking = Clock(self.timing.grace)
        self.floor = Floor(FLOORS_PER_HOUR * self.timing.refused_floor)

    @property
    def in_flight(self) -> bool:
        """Return whether a subscribe waits for its answer."""
        return self.asking.running

    # -- what goes out -------------------------------------------------------------------------

    def earliest(self, held_until: float) -> float:
        """Return before when nothing goes out, whatever the server makes us want."""
        apart = self.timing.subscribe_first / 3
        return max(self.floor.until, self.sent_at + apart, held_until)

    def due(self, held_until: float) -> float:
        """Return when the next subscribe goes out; infinity if none does."""
        if self.wanted_at is None or (
            self.asking.since is not None and self.urge is not Urge.WANTED
        ):
            return inf
        return max(self.wanted_at, self.earliest(held_until))

    def send(self, now: float) -> None:
        """Note that a subscribe goes out; it takes the place of one that is still unanswered."""
        self.asking.start(now)
        self.sent_at = now
        self.wanted_at = None
        self.urge = Urge.SPENT if self.urge is Urge.WANTED else Urge.NONE
        if not self.round.running:
            self.round.start(now)
            self.heard = frozenset()

    def want(self, when: float) -> None:
        """Subscribe at a moment, and with short pauses again."""
        self.pause = self.timing.subscribe_first
        self.wanted_at = when

    def want_by(self, when: float) -> None:
        """Subscribe at a moment at the latest, and with short pauses again."""
        self.want(when if self.wanted_at is None else min(self.wanted_at, when))

    def want_once(self, now: float) -> None:
        """Subscribe at once, with pauses as they are."""
        self.wanted_at = now

    def be_urged(self, now: float) -> None:
        """Subscribe at once where MetaApi shows a terminal that is not ours (any longer).

        Once only between two subscribes that were planned, so that no event sets the pace.
        """
        if self.urge is Urge.NONE:
            self.urge = Urge.WANTED
            self.wanted_at = now

    # -- what comes in -------------------------------------------------------------------------

    def answered(
        self,
        now: float,
        evidence: Evidence,
        refusal: Status | None,
        *,
        floor: float,
        passing: bool,
        limited: bool,
        up: bool,
    ) -> None:
        """Take the answer to a subscribe, or that none came.

        `floor`: nothing goes out for so many seconds, which end sooner for news if it is `passing`; 0 leaves
        that to the pause, which doubles. `limited`: it was a 429. `up`: the terminal authenticated before.
        """
        self.asking.stop()
        match evidence:
            case Evidence.ACCEPTED | Evidence.AWAY:
                self.heard |= {evidence}
                self.subscribed = True
            case Evidence.INVALID:
                self.heard |= {evidence}
            case Evidence.FAULT:
                self.round.stop()
        self.subscribed &= refusal is None
        pause = 0.0
        if floor:
            self.floor.set(now, floor, passing=passing)
        else:
            pause = self.pause
            self.pause = min(pause * 2, self.timing.subscribe_max)
        self.floor.skipped = 0.0
        self.limits = self.limits + 1 if limited else 0
        if up and self.subscribed:
            self.refusal = None
        else:
            self.timeouts = self.timeouts + 1 if evidence is Evidence.AWAY else 0
            self.refusal = refusal
            if self.urge is not Urge.WANTED:
                self.wanted_at = now + pause

    def authenticated(self, now: float, *, socket_open: bool) -> None:
        """Take an `authenticated`: there is nothing to ask for, unless it came without a subscription."""
        self.timeouts = 0
        self.limits = 0
        self.urge = Urge.NONE
        if self.subscribed:
            self.pause = self.timing.subscribe_first
        if self.subscribed or self.in_flight or not socket_open:
            self.refusal = None
            self.wanted_at = None
        elif self.wanted_at is None:
            # no `status` would follow without a subscription
            self.wanted_at = now

    def seen(self, *, up: bool) -> None:
        """Learn from an event that comes only with a subscription that there is one."""
        if up and not self.subscribed:
            self.refusal = None
            self.wanted_at = None
        self.subscribed = True

    def lost(self, when: float, *, last: bool) -> None:
        """Subscribe soon, as the socket shows no terminal any more; `last`: nor did an earlier one."""
        self.urge = Urge.NONE
        self.want_by(when)
        if last:
            self.round.stop()

    def forget_socket(self) -> None:
        """Stop what runs on the socket."""
        self.round.stop()
        self.asking.stop()
        self.subscribed = False
        self.sent_at = -inf
        self.urge = Urge.NONE

    def forget_refusal(self) -> None:
        """Take back a refusal and its floor."""
        self.refusal = None
        self.floor.until = -inf

    def hold(self) -> None:
        """Take the user's limit for the answer to a subscribe that it holds back, until one comes.

        A socket on which the account's events come, or an answer of its own, says more.
        """
        if (
            self.refusal is None
            and self.wanted_at is not None
            and not (self.subscribed or self.in_flight)
        ):
            self.refusal = Status.QUOTA_EXHAUSTED

    # -- what it comes to ----------------------------------------------------------------------

    def is_under_way(self, now: float) -> bool:
        """Return whether a round is running, or is to begin on this socket without a floor."""
        return self.round.running or (
            self.sent_at == -inf
            and self.wanted_at is not None
            and now >= self.floor.until
        )

    @property
    def settles_at(self) -> float:
        """Return when the round can be judged: it lasted its time, and no answer is to be awaited."""
        if self.asking.since is None:
            return self.round.ends
        return max(self.round.ends, self.asking.ends)

    @property
    def is_away(self) -> bool:
        """Return whether all that the round says is that the terminal, or its broker, did not answer."""
        return (
            self.round.running
            and Evidence.AWAY in self.heard
            and Evidence.ACCEPTED not in self.heard
        )

    @property
    def doubtful_at(self) -> float:
        """Return from when on REST is to be asked, as the round alone does not say enough."""
        if self.round.since is None or Evidence.ACCEPTED in self.heard:
            return inf
        return self.round.since + (0.0 if self.heard else self.timing.round / 2)

    def describe(self, now: float, due: float) -> dict[str, Any]:
        """Return what is known, for a person; `due` is when the next subscribe goes out."""
        return {
            "subscribe_in_flight": self.in_flight,
            "next_subscribe_in": None if due == inf else round(due - now, 1),
            "subscribe_pause": self.pause,
            "timeouts": self.timeouts,
            "refusal": self.refusal,
            "refused_for": round(max(self.floor.until - now, 0.0), 1),
        }
