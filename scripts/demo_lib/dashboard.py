"""The demo's dashboards: the integration's own, and one with the demo's tools."""

from pathlib import Path
from typing import Any

from homeassistant.util.yaml import Secrets, load_yaml

from .client import HomeAssistant

TOOLS = "tools.yaml"
URL_PATH = "demo-accounts"


async def add_dashboards(hass: HomeAssistant, config: Path) -> None:
    """Add both dashboards, and make the accounts the default one."""
    tools: Any = load_yaml(config / TOOLS, Secrets(config))
    await _add(hass, "demo-tools", "This demo", "mdi:flask-outline", tools)
    accounts = {"strategy": {"type": "custom:metaapi"}}
    await _add(hass, URL_PATH, "Trading accounts", "mdi:finance", accounts)
    await open_by_default(hass)


async def _add(
    hass: HomeAssistant, url_path: str, title: str, icon: str, config: dict[str, Any]
) -> None:
    await hass.command(
        "lovelace/dashboards/create",
        url_path=url_path,
        mode="storage",
        title=title,
        icon=icon,
    )
    await hass.command("lovelace/config/save", url_path=url_path, config=config)


async def open_by_default(hass: HomeAssistant) -> None:
    """Make the accounts the default dashboard of all users."""
    await hass.command(
        "frontend/set_system_data", key="core", value={"default_panel": URL_PATH}
    )
