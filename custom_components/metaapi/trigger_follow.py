"""What is told of an outage after its beginning: reconnects that are due, and attempts that failed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from homeassistant.core import callback
from homeassistant.util import dt as dt_util

from .api import Outcome, Status
from .messages import Phase
from .trigger_queue import Item, TriggerQueue
from .trigger_subject import Subject

GIVE_UP = timedelta(minutes=6)
"""After the last attempt that was due, whose outcome nobody told: longer than any attempt takes."""


@dataclass(slots=True)
class Followed:
    """An outage that was told, as long as it lasts."""

    asked: datetime | None = None
    """When a reconnect was last asked for."""
    failed: datetime | None = None
    """The last attempt whose failure was told."""


class Follower:
    """Follows the outages that were told, as long as they last."""

    def __init__(self, subject: Subject, queue: TriggerQueue) -> None:
        """Take where what follows waits."""
        self._subject = subject
        self._queue = queue
        self._followed: dict[str, Followed] = {}

    @callback
    def async_forget(self, account_id: str) -> None:
        """Forget an outage that is over."""
        self._followed.pop(account_id, None)

    @callback
    def async_attempted(self, account_id: str) -> None:
        """Report an attempt that failed during an outage that was reported."""
        followed = self._followed.get(account_id)
        record = self._subject.record(account_id)
        if (
            self._subject.options.attempts
            and followed is not None
            and record.under_way == 0
            and record.result is not None
            and record.result.outcome is not Outcome.AUTHENTICATED
            and followed.failed != record.attempted_at
        ):
            followed.failed = record.attempted_at
            item = Item(
                account_id,
                account_id,
                Phase.RECONNECT_FAILED,
                dt_util.utcnow(),
                due=True,
            )
            self._queue.async_put(item)
        self._queue.async_flush_soon()

    @callback
    def async_quiet_ended(self) -> None:
        """Report what is still so after a quiet time, though it was reported before."""
        if not self._subject.wanted:
            for account_id in self._followed:
                since = self._subject.state(account_id).since or dt_util.utcnow()
                self._queue.async_put(
                    Item(
                        account_id,
                        account_id,
                        Phase.LOST,
                        since,
                        already=True,
                        due=True,
                        delayed=True,
                    )
                )
        self._queue.async_flush_soon()

    @callback
    def async_follow(self, account_id: str, phase: Phase) -> datetime | None:
        """Let the next reconnect of an outage that is told wait; return when it is due.

        One is due at each of some times after the beginning, unless there was an attempt since then, whoever
        made it. So it does not matter when the trigger was attached.
        """
        subject = self._subject
        if subject.wanted or not subject.each:
            return None
        followed = self._followed.setdefault(account_id, Followed())
        now = dt_util.utcnow()
        if phase is Phase.RECONNECT_DUE:
            followed.asked = now
        record = subject.record(account_id)
        since = record.terminal.since
        if (
            not subject.options.reconnect_after
            or since is None
            or record.status is Status.NOT_DEPLOYED
        ):
            return None
        tried = max(filter(None, (record.attempted_at, followed.asked)), default=None)
        for after in subject.options.reconnect_after:
            if tried is None or tried < since + after:
                # a clock that was set back makes it no later
                due = min(max(since + after, now), now + after)
                self._async_put(account_id, Phase.RECONNECT_DUE, due)
                return due
        if phase is Phase.RECONNECT_DUE:
            self._async_put(account_id, Phase.RECONNECT_FAILED, now + GIVE_UP)
        return None

    @callback
    def _async_put(self, account_id: str, phase: Phase, moment: datetime) -> None:
        """Let something wait for a moment."""
        item = Item(account_id, account_id, phase, moment)
        self._queue.async_wait_until(item, moment)
