"""The dashboard of the demo: the one of the documentation, and below it what only a demo has."""

from pathlib import Path
from typing import Any

from homeassistant.util.yaml import Secrets, load_yaml, parse_yaml
from scripts.setup_env.steps import ROOT

from .client import HomeAssistant

TEMPLATE = ROOT / "docs" / "dashboard.jinja"
SECTIONS = "sections.yaml"
URL_PATH = "demo-accounts"


async def add_dashboard(hass: HomeAssistant, config: Path) -> None:
    """Make the dashboard as its documentation says, and open it by default."""
    dashboard: Any = parse_yaml(await hass.render(TEMPLATE.read_text()))
    dashboard["views"][0]["sections"] += load_yaml(config / SECTIONS, Secrets(config))
    await hass.command(
        "lovelace/dashboards/create",
        url_path=URL_PATH,
        mode="storage",
        title=dashboard["title"],
        icon="mdi:finance",
    )
    await hass.command("lovelace/config/save", url_path=URL_PATH, config=dashboard)
    await open_by_default(hass)


async def open_by_default(hass: HomeAssistant) -> None:
    """Have everybody see the dashboard first."""
    await hass.command(
        "frontend/set_system_data", key="core", value={"default_panel": URL_PATH}
    )
