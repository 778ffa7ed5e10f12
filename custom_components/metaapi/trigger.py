"""Triggers: an account lost its terminal, its broker or our sight, or has it again."""

from datetime import timedelta
from typing import Any, ClassVar, cast, override

import voluptuous as vol

from homeassistant.const import CONF_FOR, CONF_OPTIONS
from homeassistant.core import CALLBACK_TYPE, HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.importlib import async_import_module
from homeassistant.helpers.trigger import (
    ATTR_BEHAVIOR,
    ENTITY_STATE_TRIGGER_SCHEMA_WITH_BEHAVIOR,
    Trigger,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)
from homeassistant.helpers.typing import ConfigType
from homeassistant.util import dt as dt_util

from .outages import Facet, async_get_outages

CONF_AT_START = "at_start"
CONF_ATTEMPTS = "attempts"
CONF_LASTED = "lasted"
CONF_QUIET_ENTITIES = "quiet_entities"
CONF_QUIET_WEEKEND = "quiet_weekend"
CONF_RECONNECT = "reconnect"
CONF_RECONNECT_AFTER = "reconnect_after"
CONF_TOGETHER = "together"

RECONNECT_AFTER = [timedelta(minutes=minutes) for minutes in (5, 15, 35)]

LOST_SCHEMA = ENTITY_STATE_TRIGGER_SCHEMA_WITH_BEHAVIOR.extend(
    {
        vol.Required(CONF_OPTIONS, default={}): {
            vol.Optional(CONF_AT_START, default=False): cv.boolean,
            vol.Optional(CONF_TOGETHER, default=False): cv.boolean,
            vol.Optional(CONF_QUIET_WEEKEND, default=False): cv.boolean,
            vol.Optional(CONF_QUIET_ENTITIES, default=[]): cv.entity_ids,
        },
    }
)
BACK_SCHEMA = LOST_SCHEMA.extend(
    {
        vol.Required(CONF_OPTIONS, default={}): {
            vol.Optional(CONF_LASTED, default=timedelta): cv.positive_time_period,
        },
    }
)
DISCONNECTED_SCHEMA = LOST_SCHEMA.extend(
    {
        vol.Required(CONF_OPTIONS, default={}): {
            vol.Optional(CONF_ATTEMPTS, default=False): cv.boolean,
            vol.Optional(CONF_RECONNECT, default=False): cv.boolean,
            vol.Optional(CONF_RECONNECT_AFTER, default=RECONNECT_AFTER): vol.All(
                cv.ensure_list, [cv.positive_time_period]
            ),
        },
    }
)


class MetaApiTrigger(Trigger):
    """Fires when accounts of a target turn, compared with what was last known of them.

    Home Assistant's own entity triggers compare with the state before, so that an outage which begins
    out of sight is lost to them.
    """

    _schema: ClassVar[vol.Schema]
    _facet: ClassVar[Facet]
    _wanted: ClassVar[bool]

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
        self._target = config.target or {}
        self._options: dict[str, Any] = config.options or {}

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        """Attach the trigger to what it runs, which a home without an automation of ours never imports."""
        # in a thread; what follows finds it there
        await async_import_module(self._hass, f"{__package__}.trigger_runner")
        from .quiet import FX_ZONE, Quiet  # noqa: PLC0415
        from .targets import TrackedTarget  # noqa: PLC0415
        from .trigger_runner import TriggerRunner  # noqa: PLC0415
        from .trigger_subject import Options, Subject  # noqa: PLC0415

        options = self._options
        reconnects = options.get(CONF_RECONNECT, False)
        subject = Subject(
            hass=self._hass,
            outages=await async_get_outages(self._hass),
            target=TrackedTarget(self._hass, self._target),
            facet=self._facet,
            wanted=self._wanted,
            options=Options(
                behavior=options[ATTR_BEHAVIOR],
                duration=options.get(CONF_FOR),
                at_start=options[CONF_AT_START],
                together=options[CONF_TOGETHER],
                attempts=options.get(CONF_ATTEMPTS, False),
                reconnect_after=tuple(
                    sorted(options[CONF_RECONNECT_AFTER] if reconnects else ())
                ),
                lasted=options.get(CONF_LASTED, timedelta()),
            ),
        )
        zone = None
        if options[CONF_QUIET_WEEKEND]:
            zone = await dt_util.async_get_time_zone(FX_ZONE)
        quiet = Quiet(self._hass, zone, options[CONF_QUIET_ENTITIES])
        runner = TriggerRunner(subject, quiet, run_action, did_not_trigger)
        return runner.async_attach()


class DisconnectedTrigger(MetaApiTrigger):
    """Fires when terminals disconnected."""

    _schema = DISCONNECTED_SCHEMA
    _facet = Facet.TERMINAL
    _wanted = False


class ConnectedTrigger(MetaApiTrigger):
    """Fires when terminals connected."""

    _schema = BACK_SCHEMA
    _facet = Facet.TERMINAL
    _wanted = True


class BrokerDisconnectedTrigger(MetaApiTrigger):
    """Fires when terminals lost their broker."""

    _schema = LOST_SCHEMA
    _facet = Facet.BROKER
    _wanted = False


class BrokerConnectedTrigger(MetaApiTrigger):
    """Fires when terminals have their broker again."""

    _schema = BACK_SCHEMA
    _facet = Facet.BROKER
    _wanted = True


class OutOfSightTrigger(MetaApiTrigger):
    """Fires when accounts cannot be seen any more."""

    _schema = LOST_SCHEMA
    _facet = Facet.SIGHT
    _wanted = False


class InSightTrigger(MetaApiTrigger):
    """Fires when accounts can be seen again."""

    _schema = BACK_SCHEMA
    _facet = Facet.SIGHT
    _wanted = True


TRIGGERS: dict[str, type[Trigger]] = {
    "broker_connected": BrokerConnectedTrigger,
    "broker_disconnected": BrokerDisconnectedTrigger,
    "connected": ConnectedTrigger,
    "disconnected": DisconnectedTrigger,
    "in_sight": InSightTrigger,
    "out_of_sight": OutOfSightTrigger,
}


async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """Return the triggers; what they need is recorded from now on."""
    await async_get_outages(hass)
    return TRIGGERS
