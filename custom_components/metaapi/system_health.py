"""What the system information shows of MetaApi."""

from typing import Any

from homeassistant.components import system_health
from homeassistant.core import HomeAssistant, callback

from .api import Endpoints
from .const import CONF_API_URL, DOMAIN
from .data import MetaApiConfigEntry


@callback
def async_register(
    hass: HomeAssistant, register: system_health.SystemHealthRegistration
) -> None:
    """Register the callback."""
    register.async_register_info(async_system_health_info)


async def async_system_health_info(hass: HomeAssistant) -> dict[str, Any]:
    """Return whether MetaApi answers, and what is up of all loaded entries."""
    entries: list[MetaApiConfigEntry] = hass.config_entries.async_loaded_entries(DOMAIN)
    sockets = [entry.runtime_data.monitor.sockets for entry in entries]
    links = [link for entry in entries for link in entry.runtime_data.accounts.states]
    # Where servers of the user's own answer for every entry, MetaApi's do not matter
    api_urls = [entry.data.get(CONF_API_URL) for entry in entries]
    endpoints = Endpoints(api_url=api_urls[0] if api_urls and all(api_urls) else None)
    return {
        "can_reach_server": system_health.async_check_can_reach_url(
            hass, endpoints.provisioning_url
        ),
        "sockets_up": _share(
            sum(up for up, _ in sockets), sum(of for _, of in sockets)
        ),
        "accounts_up": _share(sum(link.terminal is True for link in links), len(links)),
    }


def _share(part: int, whole: int) -> str:
    """Return how many of how many."""
    return f"{part} / {whole}"
