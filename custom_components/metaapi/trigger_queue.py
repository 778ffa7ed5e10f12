"""What waits to be told by one trigger: until it has lasted, is in sight, and it is not quiet."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from homeassistant.core import CALLBACK_TYPE, HassJob, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util

from .messages import Phase
from .quiet import Quiet
from .trigger_subject import Subject

FOLLOW_UPS = frozenset({Phase.RECONNECT_DUE, Phase.RECONNECT_FAILED})
GATHER = timedelta(seconds=5)
"""The least that a loss waits for others, where many are put into one."""
MANY = 5
"""More than these, within a minute, are put into one."""
MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class Item:
    """Something that waits to be told."""

    key: str
    account_id: str
    phase: Phase
    began: datetime
    """When what is told began, or is due."""
    at_start: bool = False
    already: bool = False
    due: bool = False
    delayed: bool = False
    """Whether a quiet time delayed it."""
    cancel: CALLBACK_TYPE | None = None

    def stop(self) -> None:
        """Cancel its timer."""
        if self.cancel is not None:
            self.cancel()
            self.cancel = None


class TriggerQueue:
    """Keeps what waits, and fires it: many together, where that is asked for."""

    def __init__(
        self,
        subject: Subject,
        quiet: Quiet,
        fire: Callable[[Phase, list[Item]], None],
    ) -> None:
        """Take what to call with what is to be told."""
        self._subject = subject
        self._quiet = quiet
        self._fire = fire
        self._items: dict[str, Item] = {}
        """By account where each counts, else one for all."""
        self._gathering: CALLBACK_TYPE | None = None
        self._flushing: asyncio.Handle | None = None

    def __contains__(self, key: str) -> bool:
        """Return whether something waits under a key."""
        return key in self._items

    def __iter__(self) -> Iterator[Item]:
        """Return what waits."""
        return iter(tuple(self._items.values()))

    def get(self, key: str) -> Item | None:
        """Return what waits under a key."""
        return self._items.get(key)

    @callback
    def async_close(self) -> None:
        """Wait for nothing any more."""
        for item in self._items.values():
            item.stop()
        if self._gathering is not None:
            self._gathering()
        if self._flushing is not None:
            self._flushing.cancel()

    @callback
    def async_put(self, item: Item) -> None:
        """Let something wait, in place of what waited under its key."""
        self.async_drop(item.key)
        self._items[item.key] = item

    @callback
    def async_drop(self, key: str) -> None:
        """Let nothing wait under a key."""
        if (item := self._items.pop(key, None)) is not None:
            item.stop()

    @callback
    def async_go_on(self, item: Item) -> None:
        """Go on waiting while it is in sight."""
        if not self._in_sight(item):
            item.stop()
        elif item.due:
            self.async_flush_soon()
        elif item.cancel is None:
            self._async_wait(item)

    @callback
    def async_wait_until(self, item: Item, moment: datetime) -> None:
        """Let something wait for a moment; not before the caller is done, whatever the moment."""
        self.async_put(item)
        if self._in_sight(item):
            wait = max(moment - dt_util.utcnow(), timedelta())
            self._async_arm(item, wait)

    @callback
    def async_flush_soon(self) -> None:
        """Fire what is due, once for all that is due now."""
        if self._flushing is None:
            loop = self._subject.hass.loop
            self._flushing = loop.call_soon(self._async_flush)

    def _in_sight(self, item: Item) -> bool:
        """Return whether what turned is seen to be so."""
        return self._subject.holds(item.key, self._subject.current)

    @callback
    def _async_wait(self, item: Item) -> None:
        """Wait for as long as it has to last still."""
        subject = self._subject
        if item.phase in FOLLOW_UPS:
            wait = item.began - dt_util.utcnow()
        else:
            wait = subject.options.duration or timedelta()
            if subject.each:
                wait -= subject.state(item.account_id).held()
            if subject.options.together and not subject.wanted:
                wait = max(wait, GATHER)
        if wait <= timedelta():
            self._async_due(item, dt_util.utcnow())
        else:
            self._async_arm(item, wait)

    @callback
    def _async_arm(self, item: Item, wait: timedelta) -> None:
        """Call it due after a while."""
        job = HassJob(partial(self._async_due, item), cancel_on_shutdown=True)
        item.cancel = async_call_later(self._subject.hass, wait, job)

    @callback
    def _async_due(self, item: Item, _now: datetime) -> None:
        """Fire, unless it is quiet or the target means something else by now."""
        item.cancel = None
        item.due = True
        if self._subject.options.together:
            self.async_flush_soon()
        else:
            self._async_flush()

    @callback
    def _async_flush(self, *, gathered: bool = False) -> None:
        """Fire what is due and in sight, unless it is quiet; put many into one."""
        self._flushing = None
        due = [item for item in self if item.due and self._in_sight(item)]
        if not self._subject.wanted and self._quiet.is_quiet():
            for item in due:
                item.delayed = True
            return
        for phase in Phase:
            if items := [item for item in due if item.phase is phase]:
                self._async_flush_phase(phase, items, gathered=gathered)

    @callback
    def _async_flush_phase(
        self, phase: Phase, items: list[Item], *, gathered: bool
    ) -> None:
        """Fire what is due of one kind."""
        if self._subject.options.together and self._subject.each:
            first = min(item.began for item in items)
            joining = [
                item
                for item in self
                if item.phase is phase
                and not item.due
                and abs(item.began - first) <= MINUTE
                and self._in_sight(item)
            ]
            expected = 0 if gathered else self._expected(phase, items)
            if len(items) + len(joining) + expected > MANY:
                if not expected:
                    self._async_fire(phase, [*items, *joining])
                elif self._gathering is None:
                    self._gathering = async_call_later(
                        self._subject.hass,
                        MINUTE,
                        HassJob(self._async_gathered, cancel_on_shutdown=True),
                    )
                return
        for item in items:
            self._async_fire(phase, [item])

    @callback
    def _async_fire(self, phase: Phase, items: list[Item]) -> None:
        """Report what waited."""
        for item in items:
            self.async_drop(item.key)
        self._fire(phase, items)

    @callback
    def _async_gathered(self, _now: datetime) -> None:
        """Wait for others no longer."""
        self._gathering = None
        self._async_flush(gathered=True)

    def _expected(self, phase: Phase, items: Sequence[Item]) -> int:
        """Return how many more accounts may soon be told of, together with these."""
        subject = self._subject
        others = subject.target.accounts.keys() - {item.account_id for item in items}
        if phase is Phase.RECONNECT_FAILED:
            return sum(subject.record(one).under_way > 0 for one in others)
        if phase is Phase.RECONNECT_DUE:
            return 0
        lost = [state for one in others if (state := subject.state(one)).last is False]
        if phase is Phase.LOST:
            # not seen yet since the start
            return sum(state.current is None for state in lost)
        since = subject.state(items[0].account_id).since
        return sum(
            state.since is not None
            and since is not None
            and abs(state.since - since) <= MINUTE
            for state in lost
        )
