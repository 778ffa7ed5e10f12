"""The dashboard strategy `custom:metaapi`: serves it, and has the frontend load it."""

from pathlib import Path

from homeassistant.components.frontend import add_extra_js_url
from homeassistant.components.http import StaticPathConfig
from homeassistant.core import HomeAssistant
from homeassistant.loader import async_get_integration

from .const import DOMAIN

STRATEGY = Path(__file__).with_suffix(".js")


async def async_setup_dashboard(hass: HomeAssistant) -> None:
    """Offer the dashboard where there is a frontend."""
    if "frontend" not in hass.config.components:
        return
    integration = await async_get_integration(hass, DOMAIN)
    # Browsers keep the file for weeks, so each version has an address of its own
    url = f"/{DOMAIN}/{integration.version}/{STRATEGY.name}"
    await hass.http.async_register_static_paths(
        [StaticPathConfig(url, str(STRATEGY), cache_headers=True)]
    )
    add_extra_js_url(hass, url)
