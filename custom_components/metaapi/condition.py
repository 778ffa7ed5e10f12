"""Conditions: a terminal is connected, or is not."""

from typing import override

from homeassistant.components.binary_sensor import DOMAIN as BINARY_SENSOR_DOMAIN
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.condition import Condition, EntityStateConditionBase

from .targets import async_targeted_sensors


class MetaApiCondition(EntityStateConditionBase):
    """Tests the binary sensors that a target means."""

    _domain_specs = {BINARY_SENSOR_DOMAIN: DomainSpec()}

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        """Leave what is ours."""
        targeted = async_targeted_sensors(
            self._hass, self._target_selection, super().entity_filter(entities)
        )
        return set(targeted.values())


class IsConnectedCondition(MetaApiCondition):
    """Tests whether terminals are connected."""

    _states = {STATE_ON}


class IsDisconnectedCondition(MetaApiCondition):
    """Tests whether terminals are disconnected."""

    _states = {STATE_OFF}


CONDITIONS: dict[str, type[Condition]] = {
    "is_connected": IsConnectedCondition,
    "is_disconnected": IsDisconnectedCondition,
}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions."""
    return CONDITIONS
