"""A clock: its rule ("is it over") and its deadline ("when will it be over") are one thing."""

from dataclasses import dataclass
from math import inf


def soonest(now: float, *moments: float) -> float:
    """Return the first moment that is still to come; infinity if none is."""
    first = inf
    for moment in moments:
        if now < moment < first:
            first = moment
    return first


@dataclass(slots=True)
class Clock:
    """Runs from a moment on, for so many seconds; times are those of a monotonic clock."""

    lasts: float
    since: float | None = None
    """When it was started; None while it does not run."""

    @property
    def running(self) -> bool:
        """Return whether it was started and not stopped; it may be over."""
        return self.since is not None

    @property
    def began(self) -> float:
        """Return when it was started; long ago while it does not run."""
        return -inf if self.since is None else self.since

    @property
    def ends(self) -> float:
        """Return when it is over; infinity while it does not run."""
        return inf if self.since is None else self.since + self.lasts

    def over(self, now: float) -> bool:
        """Return whether it ran for its time."""
        return now >= self.ends

    def start(self, now: float) -> None:
        """Start it afresh."""
        self.since = now

    def stop(self) -> None:
        """Stop it: it is never over."""
        self.since = None

    def run_while(self, condition: bool, now: float) -> None:
        """Let it run for as long as a condition holds, from when it first did."""
        if not condition:
            self.since = None
        elif self.since is None:
            self.since = now
