"""What one trigger of one automation fires for."""

from typing import Any

from homeassistant.const import ATTR_ENTITY_ID, STATE_OFF, STATE_ON
from homeassistant.core import CALLBACK_TYPE, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.trigger import (
    BEHAVIOR_ALL,
    BEHAVIOR_FIRST,
    NotTriggeredInfo,
    TriggerActionRunner,
    TriggerNotTriggeredReporter,
)
from homeassistant.util import dt as dt_util

from .messages import Phase, Told
from .outages import (
    SIGNAL_ATTEMPTED,
    SIGNAL_CHANGED,
    SIGNAL_REMOVED,
    SIGNAL_STARTED,
    Change,
    Facet,
)
from .quiet import Quiet
from .trigger_follow import Follower
from .trigger_payload import trigger_payload
from .trigger_queue import FOLLOW_UPS, Item, TriggerQueue
from .trigger_subject import Subject


class TriggerRunner:
    """Lets what turned wait until it has been so, in sight, for the duration; it fires at once without one."""

    def __init__(
        self,
        subject: Subject,
        quiet: Quiet,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None,
    ) -> None:
        """Take what the trigger is about."""
        self._subject = subject
        self._quiet = quiet
        self._run_action = run_action
        self._did_not_trigger = did_not_trigger
        self._queue = TriggerQueue(subject, quiet, self._async_fire)
        self._follower = Follower(subject, self._queue)
        self._explained: Change | None = None
        self._values: dict[str, bool] = {}
        """Values since the trigger was attached."""

    @callback
    def async_attach(self) -> CALLBACK_TYPE:
        """Begin to listen; returns what ends it."""
        subject = self._subject
        hass, at_start = subject.hass, subject.options.at_start
        signals = [
            async_dispatcher_connect(hass, SIGNAL_CHANGED, self._async_changed),
            async_dispatcher_connect(
                hass, SIGNAL_ATTEMPTED, self._follower.async_attempted
            ),
            async_dispatcher_connect(hass, SIGNAL_REMOVED, self._async_removed),
            subject.target.async_attach(),
            self._quiet.async_attach(self._follower.async_quiet_ended),
        ]
        if at_start and subject.outages.started:
            self._async_scan()
        elif at_start:
            signals.append(
                async_dispatcher_connect(hass, SIGNAL_STARTED, self._async_scan)
            )

        @callback
        def async_detach() -> None:
            """Listen no more."""
            for unsubscribe in signals:
                unsubscribe()
            self._queue.async_close()

        return async_detach

    # -- what happens --------------------------------------------------------------------------

    @callback
    def _async_scan(self) -> None:
        """Take what is so already: being attached is like a start."""
        for account_id in self._subject.target.accounts:
            state = self._subject.state(account_id)
            if account_id not in self._values and state.current is not None:
                self._async_changed(
                    Change(account_id, self._subject.facet, state.last, state.current)
                )

    @callback
    def _async_changed(self, change: Change) -> None:
        """Begin to wait, go on or give up."""
        if change.facet is not self._subject.facet:
            return
        account_id = change.account_id
        key = self._subject.key(account_id)
        targeted = account_id in self._subject.target.accounts
        counts = False
        if change.now is None:
            if targeted:
                self._async_explain_reconnect(change)
        else:
            first = account_id not in self._values
            self._values[account_id] = change.now
            if change.now is not self._subject.wanted:
                self._follower.async_forget(account_id)
            elif targeted:
                counts = self._async_count(change, first)
        if (item := self._queue.get(key)) is not None:
            self._async_look(item, change if targeted else None, counted=counts)

    @callback
    def _async_count(self, change: Change, first: bool) -> bool:
        """Return whether a change to what the trigger is for counts, and begin to wait."""
        turned = change.before is not None and change.before is not change.now
        account_id = change.account_id
        if not turned and not (self._subject.options.at_start and first):
            if change.first:
                self._async_report(change, "entity_first_seen", at_start=False)
            else:
                value = STATE_ON if change.now else STATE_OFF
                self._async_report(change, "entity_state_not_new", state=value)
            return False
        if self._subject.options.behavior == BEHAVIOR_FIRST or (
            # Another that was so already has spoken for all
            self._subject.options.behavior == BEHAVIOR_ALL and not turned
        ):
            others = self._subject.others(
                account_id, self._value_of, self._subject.wanted
            )
            if others:
                self._async_report(change, "not_first", others=others)
                return False
        if self._subject.wanted and not self._async_was_told(change):
            return False
        key = self._subject.key(account_id)
        state = self._subject.state(account_id)
        self._queue.async_put(
            Item(
                key,
                account_id,
                Phase.BACK if self._subject.wanted else Phase.LOST,
                state.changed_at or dt_util.utcnow(),
                at_start=first and self._subject.options.at_start,
                already=not turned,
            )
        )
        return True

    @callback
    def _async_was_told(self, change: Change) -> bool:
        """Return whether the outage that is over was long enough, and not all in a quiet time."""
        state = self._subject.state(change.account_id)
        lasted = self._subject.options.lasted
        if state.lasted() < lasted:
            self._async_report(change, "outage_too_short", lasted=str(lasted))
            return False
        now = dt_util.utcnow()
        begin = now if state.since is None else state.since + lasted
        if self._quiet.was_quiet(begin, now):
            self._async_report(change, "quiet")
            return False
        return True

    @callback
    def _async_removed(self, account_id: str) -> None:
        """Forget an account that was removed."""
        self._values.pop(account_id, None)
        self._follower.async_forget(account_id)
        for item in self._queue:
            if item.account_id == account_id:
                self._queue.async_drop(item.key)

    @callback
    def _async_look(self, item: Item, change: Change | None, *, counted: bool) -> None:
        """Go on waiting while it holds and is in sight; give up when it does not hold."""
        if not self._subject.holds(item.key, self._subject.last):
            self._queue.async_drop(item.key)
            if change is None or change.now is None or item.phase in FOLLOW_UPS:
                return
            if counted:
                others = self._subject.others(
                    change.account_id, self._subject.last, not self._subject.wanted
                )
                self._async_report(change, "not_all", others=others)
            elif change.before is not change.now:
                duration = self._subject.options.duration
                self._async_report(
                    change,
                    "entity_state_not_held",
                    lasting=str(duration) if duration else None,
                )
        else:
            self._queue.async_go_on(item)

    def _value_of(self, account_id: str) -> bool | None:
        """Return the value that counts; at a start it is as if nothing had been known before."""
        if self._subject.options.at_start:
            return self._values.get(account_id)
        return self._subject.last(account_id)

    @callback
    def _async_fire(self, phase: Phase, items: list[Item]) -> None:
        """Run the action."""
        told = [one for item in items if (one := self._told(phase, item.account_id))]
        if told:
            payload = trigger_payload(
                self._subject,
                phase,
                told,
                delayed=any(item.delayed for item in items),
                at_start=items[0].at_start,
                already=items[0].already,
            )
            self._run_action(payload, payload["title"])

    def _told(self, phase: Phase, account_id: str) -> Told | None:
        """Return what to tell of an account, and let what follows wait."""
        if (entry := self._subject.target.accounts.get(account_id)) is None:
            return None
        record = self._subject.record(account_id)
        attempt = record.attempts + 1
        return Told(
            account_id=account_id,
            entry=entry,
            record=record,
            next_attempt=self._follower.async_follow(account_id, phase),
            attempt=attempt,
        )

    @callback
    def _async_explain_reconnect(self, change: Change) -> None:
        """Report that a terminal is down because it is being reconnected."""
        record = self._subject.record(change.account_id)
        if (
            self._subject.facet is Facet.TERMINAL
            and not self._subject.wanted
            and record.off_since is not None
        ):
            self._async_report(change, "entity_reconnecting")

    @callback
    def _async_report(self, change: Change, reason: str, **data: Any) -> None:
        """Leave in the traces of the automation why it did not run, once for a change."""
        if self._did_not_trigger is None or change is self._explained:
            return
        if self._subject.key(change.account_id) in self._queue:
            # what waits may fire yet
            return
        self._explained = change
        entity_id = self._subject.entity_id(change.account_id)
        self._did_not_trigger(
            NotTriggeredInfo(reason, {ATTR_ENTITY_ID: entity_id, **data})
        )
