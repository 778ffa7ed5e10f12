"""Which binary sensors the target of a trigger or a condition means."""

from homeassistant.components.binary_sensor import DOMAIN as BINARY_SENSOR_DOMAIN
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.target import TargetSelection

from .const import DOMAIN

TERMINAL_SUFFIX = "_terminal"
"""What the unique id of a terminal has behind the account's id."""


@callback
def async_our_sensor(hass: HomeAssistant, entity_id: str) -> er.RegistryEntry | None:
    """Return the registry entry of a binary sensor, if it is ours."""
    entry = er.async_get(hass).async_get(entity_id)
    if entry and entry.platform == DOMAIN and entry.domain == BINARY_SENSOR_DOMAIN:
        return entry
    return None


@callback
def async_targeted_sensors(
    hass: HomeAssistant, target: TargetSelection, entity_ids: set[str]
) -> dict[str, str]:
    """Return entity ids by unique id: terminals, and what else is ours only where the target names it as an entity.

    What is disabled has no state that could count.
    """
    return {
        entry.unique_id: entity_id
        for entity_id in entity_ids
        if (entry := async_our_sensor(hass, entity_id))
        and not entry.disabled
        and (
            entity_id in target.entity_ids or entry.unique_id.endswith(TERMINAL_SUFFIX)
        )
    }
