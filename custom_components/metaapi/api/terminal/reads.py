"""What REST said of an account, when that counts, and when REST is to be asked."""

from dataclasses import dataclass, field

from ..timing import FLOORS_PER_HOUR, Timing
from .clock import Clock

CONNECTED = "CONNECTED"
DISCONNECTED = "DISCONNECTED"
BROKER_AWAY = "DISCONNECTED_FROM_BROKER"
"""Values of REST's `connectionStatus` (documentation, "Read account")."""


@dataclass(slots=True)
class Reads:
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
        is_connected = connection == CONNECTED and self.connection != CONNECTED
        self.exists = exists
        if exists:
            self.deployed = deployed
        if connection is not None:
            self.connection = connection
            self.believed.start(now if read_since is None else read_since)
        hour = FLOORS_PER_HOUR * self.timing.refused_floor
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
