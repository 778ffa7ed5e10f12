"""Conditions: an account's terminal is connected, or is not."""

from datetime import timedelta
from typing import Any, ClassVar, cast, override

from homeassistant.const import CONF_FOR
from homeassistant.core import HomeAssistant
from homeassistant.helpers.condition import (
    ATTR_BEHAVIOR,
    BEHAVIOR_ALL,
    ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL,
    Condition,
    ConditionConfig,
)
from homeassistant.helpers.typing import ConfigType

from .account_target import async_target_accounts
from .outages import DATA_OUTAGES, Facet, async_get_outages


class MetaApiCondition(Condition):
    """Tests the accounts that a target means; those that cannot be seen count as neither."""

    _wanted: ClassVar[bool]

    @classmethod
    @override
    async def async_validate_config(
        cls, hass: HomeAssistant, config: ConfigType
    ) -> ConfigType:
        """Validate the configuration."""
        return cast(ConfigType, ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL(config))

    def __init__(self, hass: HomeAssistant, config: ConditionConfig) -> None:
        """Take the target and the options."""
        super().__init__(hass, config)
        self._target = config.target or {}
        self._options: dict[str, Any] = config.options or {}

    @override
    def _async_check(self, **kwargs: Any) -> bool:
        """Return whether one of the accounts is so, or all; false when nothing is known of any."""
        outages = self._hass.data[DATA_OUTAGES]
        duration: timedelta = self._options.get(CONF_FOR) or timedelta()
        results = [
            state.current is self._wanted and state.held() >= duration
            for _entry, account_id in async_target_accounts(self._hass, self._target)
            if (state := outages.facet(account_id, Facet.TERMINAL)).current is not None
        ]
        if self._options[ATTR_BEHAVIOR] == BEHAVIOR_ALL:
            return bool(results) and all(results)
        return any(results)


class IsConnectedCondition(MetaApiCondition):
    """Tests whether terminals are connected."""

    _wanted = True


class IsDisconnectedCondition(MetaApiCondition):
    """Tests whether terminals are disconnected."""

    _wanted = False


CONDITIONS: dict[str, type[Condition]] = {
    "is_connected": IsConnectedCondition,
    "is_disconnected": IsDisconnectedCondition,
}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions; what they need is recorded from now on."""
    await async_get_outages(hass)
    return CONDITIONS
