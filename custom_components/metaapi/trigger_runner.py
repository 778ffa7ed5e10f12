"""What one trigger of one automation waits for, and what it tells when it fires."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from homeassistant.components.binary_sensor import DOMAIN as BINARY_SENSOR_DOMAIN
from homeassistant.const import ATTR_DEVICE_ID, ATTR_ENTITY_ID, STATE_OFF, STATE_ON
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.trigger import (
    BEHAVIOR_ALL,
    BEHAVIOR_EACH,
    BEHAVIOR_FIRST,
    NotTriggeredInfo,
    TriggerActionRunner,
    TriggerNotTriggeredReporter,
)
from homeassistant.util import dt as dt_util

from .api import Outcome, Status
from .const import DOMAIN, RECONNECT_ACTION
from .device import async_get_device
from .messages import Composer, Phase, Told
from .outages import (
    SIGNAL_ATTEMPTED,
    SIGNAL_CHANGED,
    SIGNAL_REMOVED,
    SIGNAL_STARTED,
    Change,
    Facet,
    Outages,
)
from .quiet import Quiet
from .targets import TrackedTarget, async_entity_id

GATHER = timedelta(seconds=5)
"""The least that a loss waits for others, where many are put into one."""
GIVE_UP = timedelta(minutes=6)
"""After the last attempt that was due, whose outcome nobody told: longer than any attempt takes."""
MANY = 5
"""More than these, within a minute, are put into one."""
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a trigger."""

    behavior: str
    duration: timedelta | None
    at_start: bool
    together: bool
    attempts: bool
    """Whether attempts that failed are told as well."""
    reconnect_after: tuple[timedelta, ...]
    """When reconnects are due, after the beginning of an outage."""
    lasted: timedelta
    """How long an outage must have lasted for its end to be told."""


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


@dataclass(slots=True)
class Followed:
    """An outage that was told, as long as it lasts."""

    asked: datetime | None = None
    """When a reconnect was last asked for."""
    failed: datetime | None = None
    """The last attempt whose failure was told."""


class TriggerRunner:
    """Waits until what turned has been so, in sight, for the duration, and fires; at once without one."""

    def __init__(
        self,
        hass: HomeAssistant,
        outages: Outages,
        target: TrackedTarget,
        facet: Facet,
        wanted: bool,
        options: Options,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None,
    ) -> None:
        """Take what the trigger is for."""
        self._hass = hass
        self._outages = outages
        self._target = target
        self._facet = facet
        self._wanted = wanted
        self._options = options
        self._run_action = run_action
        self._did_not_trigger = did_not_trigger
        self._quiet: Quiet | None = None
        self._explained: Change | None = None
        self._values: dict[str, bool] = {}
        """Values since the trigger was attached."""
        self._items: dict[str, Item] = {}
        """By account where each counts, else one for all."""
        self._followed: dict[str, Followed] = {}
        self._gathering: CALLBACK_TYPE | None = None
        self._flushing: asyncio.Handle | None = None

    @callback
    def async_attach(self, quiet: Quiet) -> CALLBACK_TYPE:
        """Begin to listen; returns what ends it."""
        self._quiet = quiet
        signals = [
            async_dispatcher_connect(self._hass, SIGNAL_CHANGED, self._async_changed),
            async_dispatcher_connect(
                self._hass, SIGNAL_ATTEMPTED, self._async_attempted
            ),
            async_dispatcher_connect(self._hass, SIGNAL_REMOVED, self._async_removed),
            self._target.async_attach(),
            quiet.async_attach(),
        ]
        if self._options.at_start and self._outages.started:
            self._async_scan()
        elif self._options.at_start:
            signals.append(
                async_dispatcher_connect(self._hass, SIGNAL_STARTED, self._async_scan)
            )

        @callback
        def async_detach() -> None:
            """Listen no more."""
            for unsubscribe in signals:
                unsubscribe()
            for item in self._items.values():
                item.stop()
            if self._gathering is not None:
                self._gathering()
            if self._flushing is not None:
                self._flushing.cancel()

        return async_detach

    # -- what happens --------------------------------------------------------------------------

    @callback
    def _async_scan(self) -> None:
        """Take what is so already: being attached is like a start."""
        for account_id in self._target.accounts:
            state = self._outages.facet(account_id, self._facet)
            if account_id not in self._values and state.current is not None:
                self._async_changed(
                    Change(account_id, self._facet, state.last, state.current)
                )

    @callback
    def _async_changed(self, change: Change) -> None:
        """Begin to wait, go on or give up."""
        if change.facet is not self._facet:
            return
        account_id = change.account_id
        key = self._key(account_id)
        targeted = account_id in self._target.accounts
        counts = False
        if change.now is None:
            if targeted:
                self._async_explain_reconnect(change)
        else:
            first = account_id not in self._values
            self._values[account_id] = change.now
            if change.now is not self._wanted:
                self._followed.pop(account_id, None)
            elif targeted:
                counts = self._async_count(change, first)
        if (item := self._items.get(key)) is not None:
            self._async_look(item, change if targeted else None, counted=counts)

    @callback
    def _async_count(self, change: Change, first: bool) -> bool:
        """Return whether a change to what the trigger is for counts, and begin to wait."""
        turned = change.before is not None and change.before is not change.now
        account_id = change.account_id
        if not turned and not (self._options.at_start and first):
            if change.first:
                self._async_report(change, "entity_first_seen", at_start=False)
            else:
                value = STATE_ON if change.now else STATE_OFF
                self._async_report(change, "entity_state_not_new", state=value)
            return False
        if self._options.behavior == BEHAVIOR_FIRST or (
            # Another that was so already has spoken for all
            self._options.behavior == BEHAVIOR_ALL and not turned
        ):
            others = self._others(account_id, self._value_of, self._wanted)
            if others:
                self._async_report(change, "not_first", others=others)
                return False
        if self._wanted and not self._async_was_told(change):
            return False
        key = self._key(account_id)
        state = self._outages.facet(account_id, self._facet)
        self._async_put(
            Item(
                key,
                account_id,
                Phase.BACK if self._wanted else Phase.LOST,
                state.changed_at or dt_util.utcnow(),
                at_start=first and self._options.at_start,
                already=not turned,
            )
        )
        return True

    @callback
    def _async_was_told(self, change: Change) -> bool:
        """Return whether the outage that is over was long enough, and not all in a quiet time."""
        state = self._outages.facet(change.account_id, self._facet)
        lasted = self._options.lasted
        if state.lasted() < lasted:
            self._async_report(change, "outage_too_short", lasted=str(lasted))
            return False
        now = dt_util.utcnow()
        begin = now if state.since is None else state.since + lasted
        if self._quiet is not None and self._quiet.was_quiet(begin, now):
            self._async_report(change, "quiet")
            return False
        return True

    @callback
    def _async_attempted(self, account_id: str) -> None:
        """Tell of an attempt that failed during an outage that was told."""
        followed = self._followed.get(account_id)
        record = self._outages.record(account_id)
        if (
            self._options.attempts
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
            self._async_put(item)
        self._async_flush_soon()

    @callback
    def _async_removed(self, account_id: str) -> None:
        """Forget an account that was removed."""
        self._values.pop(account_id, None)
        self._followed.pop(account_id, None)
        for key, item in tuple(self._items.items()):
            if item.account_id == account_id:
                self._async_drop(key)

    @callback
    def async_quiet_ended(self) -> None:
        """Tell what is still so after a quiet time, though it was told before."""
        if not self._wanted:
            for account_id in self._followed:
                state = self._outages.facet(account_id, self._facet)
                since = state.since or dt_util.utcnow()
                self._async_put(
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
        self._async_flush_soon()

    # -- what waits ----------------------------------------------------------------------------

    def _key(self, account_id: str) -> str:
        """Return what an account waits under."""
        behavior = self._options.behavior
        return account_id if behavior == BEHAVIOR_EACH else behavior

    @callback
    def _async_put(self, item: Item) -> None:
        """Let something wait, in place of what waited under its key."""
        self._async_drop(item.key)
        self._items[item.key] = item

    @callback
    def _async_drop(self, key: str) -> None:
        """Let nothing wait under a key."""
        if (item := self._items.pop(key, None)) is not None:
            item.stop()

    @callback
    def _async_look(self, item: Item, change: Change | None, *, counted: bool) -> None:
        """Go on waiting while it holds and is in sight; give up when it does not hold."""
        if not self._holds(item.key, self._last):
            self._async_drop(item.key)
            if change is None or change.now is None or item.phase in FOLLOW_UPS:
                return
            if counted:
                others = self._others(change.account_id, self._last, not self._wanted)
                self._async_report(change, "not_all", others=others)
            elif change.before is not change.now:
                duration = self._options.duration
                self._async_report(
                    change,
                    "entity_state_not_held",
                    lasting=str(duration) if duration else None,
                )
        elif not self._holds(item.key, self._seen):
            item.stop()
        elif item.due:
            self._async_flush_soon()
        elif item.cancel is None:
            self._async_wait(item)

    @callback
    def _async_wait(self, item: Item) -> None:
        """Wait for as long as it has to last still."""
        if item.phase in FOLLOW_UPS:
            wait = item.began - dt_util.utcnow()
        else:
            wait = self._options.duration or timedelta()
            if self._options.behavior == BEHAVIOR_EACH:
                wait -= self._outages.facet(item.account_id, self._facet).held()
            if self._options.together and not self._wanted:
                wait = max(wait, GATHER)
        if wait <= timedelta():
            self._async_due(item, dt_util.utcnow())
        else:
            job = HassJob(partial(self._async_due, item), cancel_on_shutdown=True)
            item.cancel = async_call_later(self._hass, wait, job)

    @callback
    def _async_due(self, item: Item, _now: datetime) -> None:
        """Fire, unless it is quiet or the target means something else by now."""
        item.cancel = None
        item.due = True
        if self._options.together:
            self._async_flush_soon()
        else:
            self._async_flush()

    def _holds(self, key: str, value_of: Callable[[str], bool | None]) -> bool:
        """Return whether what turned is still so; what has no value does not count."""
        accounts = self._target.accounts
        if self._options.behavior == BEHAVIOR_EACH:
            return key in accounts and value_of(key) is self._wanted
        values = list(map(value_of, accounts))
        if self._options.behavior == BEHAVIOR_ALL and (not self._wanted) in values:
            return False
        return self._wanted in values

    def _last(self, account_id: str) -> bool | None:
        """Return the last value of an account."""
        return self._outages.told_last(account_id, self._facet)

    def _seen(self, account_id: str) -> bool | None:
        """Return the current value of an account."""
        return self._outages.facet(account_id, self._facet).current

    def _value_of(self, account_id: str) -> bool | None:
        """Return the value that counts; at a start it is as if nothing had been known before."""
        if self._options.at_start:
            return self._values.get(account_id)
        return self._last(account_id)

    # -- what fires ----------------------------------------------------------------------------

    @callback
    def _async_flush_soon(self) -> None:
        """Fire what is due, once for all that is due now."""
        if self._flushing is None:
            self._flushing = self._hass.loop.call_soon(self._async_flush)

    @callback
    def _async_flush(self, *, gathered: bool = False) -> None:
        """Fire what is due and in sight, unless it is quiet; put many into one."""
        self._flushing = None
        due = [
            item
            for item in self._items.values()
            if item.due and self._holds(item.key, self._seen)
        ]
        if not self._wanted and self._quiet is not None and self._quiet.is_quiet():
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
        if self._options.together and self._options.behavior == BEHAVIOR_EACH:
            first = min(item.began for item in items)
            joining = [
                item
                for item in self._items.values()
                if item.phase is phase
                and not item.due
                and abs(item.began - first) <= MINUTE
                and self._holds(item.key, self._seen)
            ]
            expected = 0 if gathered else self._expected(phase, items)
            if len(items) + len(joining) + expected > MANY:
                if not expected:
                    self._async_fire(phase, [*items, *joining])
                elif self._gathering is None:
                    self._gathering = async_call_later(
                        self._hass,
                        MINUTE,
                        HassJob(self._async_gathered, cancel_on_shutdown=True),
                    )
                return
        for item in items:
            self._async_fire(phase, [item])

    @callback
    def _async_gathered(self, _now: datetime) -> None:
        """Wait for others no longer."""
        self._gathering = None
        self._async_flush(gathered=True)

    def _expected(self, phase: Phase, items: Sequence[Item]) -> int:
        """Return how many more accounts may soon be told of, together with these."""
        waiting = {item.account_id for item in items}
        records = {
            account_id: self._outages.record(account_id)
            for account_id in self._target.accounts.keys() - waiting
        }
        if phase is Phase.RECONNECT_FAILED:
            return sum(record.under_way > 0 for record in records.values())
        if phase is Phase.RECONNECT_DUE:
            return 0
        facets = [record.facets[self._facet] for record in records.values()]
        if phase is Phase.LOST:
            # not seen yet since the start
            return sum(one.last is False and one.current is None for one in facets)
        began = [
            since
            for item in items
            if (since := self._outages.facet(item.account_id, self._facet).since)
        ]
        return sum(
            one.last is False
            and one.since is not None
            and any(abs(one.since - since) <= MINUTE for since in began[:1])
            for one in facets
        )

    @callback
    def _async_fire(self, phase: Phase, items: list[Item]) -> None:
        """Run the action."""
        for item in items:
            self._async_drop(item.key)
        told = [one for item in items if (one := self._told(phase, item.account_id))]
        if told:
            payload = self._payload(phase, items, told)
            self._run_action(payload, payload["title"])

    def _told(self, phase: Phase, account_id: str) -> Told | None:
        """Return what to tell of an account, and let what follows wait."""
        if (entry := self._target.accounts.get(account_id)) is None:
            return None
        record = self._outages.record(account_id)
        attempt = record.attempts + 1
        following: datetime | None = None
        if not self._wanted and self._options.behavior == BEHAVIOR_EACH:
            followed = self._followed.setdefault(account_id, Followed())
            if phase is Phase.RECONNECT_DUE:
                followed.asked = dt_util.utcnow()
            following = self._async_follow(account_id, followed, phase)
        return Told(
            account_id=account_id,
            entry=entry,
            record=record,
            next_attempt=following,
            attempt=attempt,
        )

    @callback
    def _async_follow(
        self, account_id: str, followed: Followed, phase: Phase
    ) -> datetime | None:
        """Let the next reconnect of an outage wait; return when it is due.

        One is due at each of some times after the beginning, unless there was an attempt since then, whoever
        made it. So it does not matter when the trigger was attached.
        """
        record = self._outages.record(account_id)
        since = record.terminal.since
        if (
            not self._options.reconnect_after
            or since is None
            or record.status is Status.NOT_DEPLOYED
        ):
            return None
        tried = max(
            (one for one in (record.attempted_at, followed.asked) if one), default=None
        )
        now = dt_util.utcnow()
        for after in self._options.reconnect_after:
            if tried is None or tried < since + after:
                due = min(max(since + after, now), now + after)
                item = Item(account_id, account_id, Phase.RECONNECT_DUE, due)
                break
        else:
            if phase is not Phase.RECONNECT_DUE:
                return None
            due = None
            item = Item(account_id, account_id, Phase.RECONNECT_FAILED, now + GIVE_UP)
        self._async_put(item)
        if self._holds(item.key, self._seen):
            job = HassJob(partial(self._async_due, item), cancel_on_shutdown=True)
            item.cancel = async_call_later(
                self._hass, max((item.began - now).total_seconds(), 0), job
            )
        return due

    def _payload(
        self, phase: Phase, items: Sequence[Item], told: Sequence[Told]
    ) -> dict[str, Any]:
        """Return what the action finds in `trigger`."""
        composer = Composer(self._hass)
        states = [one.record.facets[self._facet] for one in told]
        devices = [
            device.id
            for one in told
            if (device := async_get_device(self._hass, one.entry, one.account_id))
        ]
        entities = [
            entity_id for one in told if (entity_id := self._entity_id(one.account_id))
        ]
        first = told[0]
        follows = any(one.next_attempt for one in told)
        urgency = "normal" if phase is Phase.BACK else "passive"
        if (
            phase is Phase.LOST
            or (phase is Phase.RECONNECT_FAILED and not follows)
            or (phase is Phase.RECONNECT_DUE and any(item.delayed for item in items))
        ):
            urgency = "urgent"
        tag, cleared = self._tags(phase, told)
        return {
            ATTR_ENTITY_ID: entities[0] if len(entities) == 1 else entities,
            ATTR_DEVICE_ID: devices[0] if len(devices) == 1 else devices,
            "account": composer.names([composer.name(one) for one in told]),
            "accounts": [composer.name(one) for one in told],
            "phase": phase.value,
            "since": min((one.since for one in states if one.since), default=None),
            "duration": max(one.lasted() for one in states),
            "status": first.record.status and first.record.status.value,
            "reason": composer.reason(first, phase),
            "attempts": first.record.attempts,
            "title": composer.title(self._facet, phase, told),
            "message": composer.message(self._facet, phase, told),
            "urgency": urgency,
            "tag": tag,
            "cleared": cleared,
            "actions": self._actions(composer, phase, told, devices),
            "for": self._options.duration,
            "at_start": items[0].at_start,
            "already": items[0].already,
        }

    def _actions(
        self,
        composer: Composer,
        phase: Phase,
        told: Sequence[Told],
        devices: Sequence[str],
    ) -> list[dict[str, str]]:
        """Return the buttons of a message: one that reconnects, where that can help."""
        if (
            self._facet is not Facet.TERMINAL
            or phase not in (Phase.LOST, Phase.RECONNECT_FAILED)
            or len(told) > 1
            or told[0].record.status is Status.NOT_DEPLOYED
        ):
            return []
        return [
            {"action": f"{RECONNECT_ACTION}{device_id}", "title": composer.reconnect}
            for device_id in devices
        ]

    def _tags(self, phase: Phase, told: Sequence[Told]) -> tuple[str, list[str]]:
        """Return the tag of a message, and those whose messages are over."""
        suffix = "" if self._facet is Facet.TERMINAL else f"_{self._facet}"
        many = f"{DOMAIN}_many{suffix}"
        tag = many if len(told) > 1 else f"{DOMAIN}_{told[0].account_id}{suffix}"
        states = [one.record.facets[self._facet] for one in told]
        if phase is not Phase.BACK:
            for state in states:
                state.tags.add(tag)
            return tag, []
        over = {tag}.union(*(state.tags for state in states))
        for account_id in self._target.accounts:
            state = self._outages.facet(account_id, self._facet)
            if state.last is False:
                over -= state.tags
        return many if many in over else tag, sorted(over)

    # -- why it did not fire -------------------------------------------------------------------

    def _entity_id(self, account_id: str) -> str | None:
        """Return the id of the entity that shows what the trigger is about."""
        key = Facet.BROKER if self._facet is Facet.BROKER else Facet.TERMINAL
        return async_entity_id(self._hass, BINARY_SENSOR_DOMAIN, account_id, key)

    def _others(
        self, account_id: str, value_of: Callable[[str], bool | None], value: bool
    ) -> list[str]:
        """Return the other accounts of the target that have a value, by their entities."""
        others: Iterable[str] = self._target.accounts.keys() - {account_id}
        return sorted(
            self._entity_id(other) or other
            for other in others
            if value_of(other) is value
        )

    @callback
    def _async_explain_reconnect(self, change: Change) -> None:
        """Report that a terminal is down because it is being reconnected."""
        record = self._outages.record(change.account_id)
        if (
            self._facet is Facet.TERMINAL
            and not self._wanted
            and record.off_since is not None
        ):
            self._async_report(change, "entity_reconnecting")

    @callback
    def _async_report(self, change: Change, reason: str, **data: Any) -> None:
        """Leave in the traces of the automation why it did not run, once for a change."""
        if self._did_not_trigger is None or change is self._explained:
            return
        if self._key(change.account_id) in self._items:
            # what waits may fire yet
            return
        self._explained = change
        entity_id = self._entity_id(change.account_id)
        self._did_not_trigger(
            NotTriggeredInfo(reason, {ATTR_ENTITY_ID: entity_id, **data})
        )


FOLLOW_UPS = frozenset({Phase.RECONNECT_DUE, Phase.RECONNECT_FAILED})
