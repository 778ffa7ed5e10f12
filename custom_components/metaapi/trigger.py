"""Triggers: a terminal connected, or disconnected."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, cast, override

import voluptuous as vol

from homeassistant.const import ATTR_ENTITY_ID, CONF_FOR, CONF_OPTIONS
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, State, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.target import (
    TargetSelection,
    async_extract_referenced_entity_ids,
)
from homeassistant.helpers.trigger import (
    ATTR_BEHAVIOR,
    BEHAVIOR_ALL,
    BEHAVIOR_EACH,
    BEHAVIOR_FIRST,
    ENTITY_STATE_TRIGGER_SCHEMA_WITH_BEHAVIOR,
    NotTriggeredInfo,
    Trigger,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)
from homeassistant.helpers.typing import ConfigType

from .last_known import VALUES, Change, LastKnown, async_get_last_known
from .targets import async_targeted_sensors

CONF_AT_START = "at_start"

SCHEMA = ENTITY_STATE_TRIGGER_SCHEMA_WITH_BEHAVIOR.extend(
    {
        vol.Required(CONF_OPTIONS, default={}): {
            vol.Optional(CONF_AT_START, default=False): cv.boolean,
        },
    }
)


class MetaApiTrigger(Trigger):
    """Fires when binary sensors of a target turn, compared with what was last known of them.

    Home Assistant's own entity triggers compare with the state before, so that an outage which begins
    out of sight is lost to them.
    """

    _schema = SCHEMA
    _turned: ClassVar[bool]

    @classmethod
    @override
    async def async_validate_config(
        cls, hass: HomeAssistant, config: ConfigType
    ) -> ConfigType:
        """Validate the configuration."""
        return cast(ConfigType, cls._schema(config))

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Take the target and the options."""
        super().__init__(hass, config)
        self._target = TargetSelection(config.target or {})
        self._options: dict[str, Any] = config.options or {}

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        """Attach the trigger to what it runs."""
        runner = _Runner(
            self._hass,
            await async_get_last_known(self._hass),
            self._target,
            self._turned,
            self._options,
            run_action,
            did_not_trigger,
        )
        return runner.async_attach()


class ConnectedTrigger(MetaApiTrigger):
    """Fires when terminals connected."""

    _turned = True


class DisconnectedTrigger(MetaApiTrigger):
    """Fires when terminals disconnected."""

    _turned = False


class _Runner:
    """One trigger of one automation.

    What turned waits until it has been so, in sight, for the duration; it fires at once without one.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        last_known: LastKnown,
        target: TargetSelection,
        turned: bool,
        options: dict[str, Any],
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None,
    ) -> None:
        """Prepare."""
        self._hass = hass
        self._last_known = last_known
        self._target = target
        self._turned = turned
        self._behavior: str = options[ATTR_BEHAVIOR]
        self._duration: timedelta | None = options.get(CONF_FOR)
        self._at_start: bool = options[CONF_AT_START]
        self._run_action = run_action
        self._did_not_trigger = did_not_trigger
        self._explained: State | None = None
        # By unique id where each counts, else one for all
        self._waiting: dict[str, Change] = {}
        self._timers: dict[str, CALLBACK_TYPE] = {}

    @callback
    def async_attach(self) -> CALLBACK_TYPE:
        """Listen; returns what ends it."""
        unsubscribe = self._last_known.async_listen(self._async_changed)

        @callback
        def async_remove() -> None:
            """Stop to listen."""
            unsubscribe()
            for cancel in self._timers.values():
                cancel()

        return async_remove

    @callback
    def _async_changed(self, change: Change) -> None:
        """Begin to wait, go on or give up."""
        targeted = self._async_targeted()
        key = change.unique_id if self._behavior == BEHAVIOR_EACH else self._behavior
        is_targeted = change.unique_id in targeted
        counts = is_targeted and self._counts(change, targeted)
        if counts:
            self._waiting[key] = change
        if key not in self._waiting:
            if is_targeted:
                self._async_explain(change, targeted)
            return
        if not self._async_holds(key, targeted, self._last_known.known):
            del self._waiting[key]
            if counts:
                others = _others(
                    change, targeted, self._last_known.known, not self._turned
                )
                self._async_report(change, "not_all", others=others)
            elif is_targeted and change.turned is not None:
                lasting = str(self._duration) if self._duration else None
                self._async_report(change, "entity_state_not_held", lasting=lasting)
        elif self._async_holds(key, targeted, self._last_known.seen):
            if not self._duration:
                self._async_fire(key, targeted)
            elif key not in self._timers:
                self._timers[key] = async_call_later(
                    self._hass, self._duration, partial(self._async_held, key)
                )
            return
        if key in self._timers:
            self._timers.pop(key)()

    def _value_of(self, unique_id: str) -> bool | None:
        """Return what is known; at a start it is as if nothing had been known before, of any terminal."""
        if self._at_start:
            return self._last_known.met(unique_id)
        return self._last_known.known(unique_id)

    def _counts(self, change: Change, targeted: Iterable[str]) -> bool:
        """Tell whether a change is what the trigger is for."""
        turned = change.turned
        if self._at_start and change.first:
            turned = self._value_of(change.unique_id)
        if turned is not self._turned:
            return False
        if self._behavior == BEHAVIOR_FIRST or (
            # Another that was so already has spoken for all
            self._behavior == BEHAVIOR_ALL and change.turned is None
        ):
            return [*map(self._value_of, targeted)].count(self._turned) == 1
        return True

    @callback
    def _async_explain(self, change: Change, targeted: dict[str, str]) -> None:
        """Report why a change to what the trigger is for does not count."""
        state = change.to_state
        if (
            state is None
            or VALUES.get(state.state) is not self._turned
            or state.last_changed != state.last_updated
        ):
            return
        if self._last_known.known(change.unique_id) is not self._turned:
            self._async_report(change, "entity_reconnecting")
        elif change.turned is not None or (self._at_start and change.first):
            others = _others(change, targeted, self._value_of, self._turned)
            self._async_report(change, "not_first", others=others)
        elif change.first:
            self._async_report(change, "entity_first_seen", at_start=False)
        else:
            self._async_report(change, "entity_state_not_new", state=state.state)

    @callback
    def _async_report(self, change: Change, reason: str, **data: Any) -> None:
        """Leave in the traces of the automation why it did not run, not twice in a row for a state."""
        state = change.to_state
        if self._did_not_trigger is None or state is None or state is self._explained:
            return
        self._explained = state
        self._did_not_trigger(
            NotTriggeredInfo(reason, {ATTR_ENTITY_ID: change.entity_id, **data}),
            state.context,
        )

    @callback
    def _async_held(self, key: str, _now: datetime) -> None:
        """Fire, unless the target means something else by now."""
        del self._timers[key]
        targeted = self._async_targeted()
        if self._async_holds(key, targeted, self._last_known.seen):
            self._async_fire(key, targeted)

    @callback
    def _async_fire(self, key: str, targeted: dict[str, str]) -> None:
        """Run the action."""
        change = self._waiting.pop(key)
        entity_id = targeted.get(change.unique_id, change.entity_id)
        self._run_action(
            {
                ATTR_ENTITY_ID: entity_id,
                "from_state": change.from_state,
                "to_state": change.to_state,
                "for": self._duration,
                "at_start": change.first,
                "already": change.turned is None,
            },
            f"state of {entity_id}",
            change.to_state.context if change.to_state else None,
        )

    @callback
    def _async_holds(
        self,
        key: str,
        targeted: Iterable[str],
        value_of: Callable[[str], bool | None],
    ) -> bool:
        """Tell whether what turned is still so; what has no value does not count."""
        values = [
            value
            for unique_id in targeted
            if key in (unique_id, self._behavior)
            and (value := value_of(unique_id)) is not None
        ]
        count = values.count(self._turned)
        return count > 0 and (self._behavior != BEHAVIOR_ALL or count == len(values))

    @callback
    def _async_targeted(self) -> dict[str, str]:
        """Return what the target means now: entity ids, by unique id."""
        selected = async_extract_referenced_entity_ids(
            self._hass, self._target, expand_group=False
        )
        return async_targeted_sensors(
            self._hass,
            self._target,
            selected.referenced | selected.indirectly_referenced,
        )


def _others(
    change: Change,
    targeted: dict[str, str],
    value_of: Callable[[str], bool | None],
    value: bool,
) -> list[str]:
    """Return the other entities of the target that have a value."""
    return sorted(
        entity_id
        for unique_id, entity_id in targeted.items()
        if unique_id != change.unique_id and value_of(unique_id) is value
    )


TRIGGERS: dict[str, type[Trigger]] = {
    "connected": ConnectedTrigger,
    "disconnected": DisconnectedTrigger,
}


async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """Return the triggers; what they need is remembered from now on."""
    await async_get_last_known(hass)
    return TRIGGERS
