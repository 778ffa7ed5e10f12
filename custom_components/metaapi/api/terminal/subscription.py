"""Subscribing to an account in one place: the round, the pause, the floor, the refusal, what is in flight."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any

from ..model import Status
from ..timing import Timing
from .clock import Clock

_FLOORS_PER_HOUR = 12


@dataclass(slots=True)
class Floor:
    """The least delay that follows a refusal; like the refusal itself, it outlives the socket."""

    lasts: float
    """In seconds, when nobody recommends more."""
    until: float = -inf
    lifted: Clock = field(init=False)
    """Runs for an hour after news of REST lifted the floor."""
    skipped: float = 0.0
    """What was left of it then, in seconds: the next one is longer by that."""

    def __post_init__(self) -> None:
        """Set the clock: no more attempts in an hour for being lifted."""
        self.lifted = Clock(_FLOORS_PER_HOUR * self.lasts, -inf)

    def set(self, now: float, recommended: float | None) -> None:
        """Delay the next subscribe, by what the server recommends if that is longer."""
        self.until = now + max(recommended or 0.0, self.lasts) + self.skipped

    def lift(self, now: float) -> None:
        """Let the next subscribe go out at once, unless that was done within the last hour."""
        if self.until > now and self.lifted.over(now):
            self.lifted.start(now)
            self.skipped = self.until - now
            self.until = now


@dataclass(slots=True)
class Subscription:
    """Whether, when and how often one place is asked for an account's events."""

    timing: Timing
    round: Clock = field(init=False)
    """Runs from the first subscribe of a round: 60 s without `authenticated` have got nowhere."""
    floor: Floor = field(init=False)
    refusal: Status | None = None
    """Why the place lets us see nothing; None if it does not refuse."""
    subscribed: bool = False
    """Whether the account's events come on this very socket."""
    in_flight: bool = False
    sent_at: float = -inf
    """When the last subscribe went out."""
    wanted_at: float | None = None
    """When the next one is wanted; None if none is."""
    pause: float = 0.0
    """How long to wait after the next answer, in seconds."""
    timeouts: int = 0
    """Subscribes in a row that were answered `TimeoutError`; sockets may come and go between them."""
    urged: bool = False
    """Whether an event made us subscribe at once; it does so only once."""

    def __post_init__(self) -> None:
        """Set the clocks."""
        self.round = Clock(self.timing.round)
        self.floor = Floor(self.timing.refused_floor)

    # -- what goes out -------------------------------------------------------------------------

    def due(self, held_until: float) -> float:
        """Return when the next subscribe may go out, whatever the server makes us want."""
        if self.in_flight:
            return inf
        return max(
            inf if self.wanted_at is None else self.wanted_at,
            self.floor.until,
            self.sent_at + self.timing.subscribe_first / 3,
            held_until,
        )

    def send(self, now: float) -> None:
        """Note that a subscribe goes out."""
        self.in_flight = True
        self.sent_at = now
        self.wanted_at = None
        self.round.run_while(True, now)

    def want(self, when: float) -> None:
        """Subscribe at a moment, and with short pauses again."""
        self.pause = self.timing.subscribe_first
        self.wanted_at = when

    def want_by(self, when: float) -> None:
        """Subscribe at a moment at the latest, and with short pauses again."""
        self.want(when if self.wanted_at is None else min(self.wanted_at, when))

    def urge(self, now: float) -> None:
        """Subscribe at once where MetaApi shows a terminal that is not ours (any longer), but only once."""
        if not self.urged:
            self.urged = True
            self.wanted_at = now

    # -- what comes in -------------------------------------------------------------------------

    def answered(
        self,
        now: float,
        *,
        evidence: bool,
        refusal: Status | None,
        again: bool,
        backs_off: bool,
        floor: bool,
        recommended: float | None,
        timed_out: bool,
        up: bool,
    ) -> None:
        """Take the answer to a subscribe.

        `evidence`: it speaks about the terminal; `again`: the same socket may be asked again, and where that
        `backs_off` after a pause that doubles; `floor`: nothing goes out before it, nor before `recommended`
        seconds have passed; `up`: the terminal authenticated before the answer came.
        """
        if evidence:
            self.subscribed = True
        else:
            self.round.stop()
            self.subscribed &= refusal is None
        pause = 0.0
        if backs_off:
            pause = self.pause
            self.pause = min(pause * 2, self.timing.subscribe_max)
        if floor:
            self.floor.set(now, recommended)
        self.floor.skipped = 0.0
        if up and self.subscribed:
            self.refusal = None
        else:
            self.timeouts = self.timeouts + 1 if timed_out else 0
            self.refusal = refusal
            self.wanted_at = now + pause if again else None
        self.urged |= not again

    def authenticated(self, now: float, *, socket_open: bool) -> None:
        """Take an `authenticated`: there is nothing to ask for, unless it came without a subscription."""
        self.timeouts = 0
        self.urged = False
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
        self.urged = False
        self.want_by(when)
        if last:
            self.round.stop()

    def forget_socket(self) -> None:
        """Stop what runs on the socket."""
        self.round.stop()
        self.in_flight = False
        self.subscribed = False
        self.sent_at = -inf
        self.urged = False

    def forget_refusal(self) -> None:
        """Take back a refusal and its floor."""
        self.refusal = None
        self.floor.until = -inf

    # -- what it comes to ----------------------------------------------------------------------

    def got_nowhere(self, now: float) -> bool:
        """Return whether a round lasted its time and every subscribe of it was answered."""
        return self.round.over(now) and not self.in_flight

    def ends(self) -> Iterator[float]:
        """Yield when its clocks are over."""
        yield self.round.ends

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
