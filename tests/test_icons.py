"""Test that icons.json is valid, complete, and uses icons of the frontend."""

import json
from pathlib import Path
import re

import pytest
import voluptuous as vol

from homeassistant.const import STATE_OFF, STATE_ON, Platform

from .flow_support import TEXTS
from .source_support import DESCRIBED, ICONS, constants, strings

ROOT = Path(__file__).parents[1]

ICON = vol.Match(r"^mdi:[a-z0-9]+(-[a-z0-9]+)*$")
SHAPE = vol.Schema(
    {
        vol.Optional("entity"): {
            str: {
                str: {
                    vol.Required("default"): ICON,
                    vol.Optional("state"): {str: ICON},
                }
            }
        },
        **{
            vol.Optional(category): {str: {vol.Required(kind): ICON}}
            for category, kind in DESCRIBED.items()
        },
    }
)


def test_shape() -> None:
    """All keys are known to Home Assistant."""
    assert SHAPE(ICONS) == ICONS


def test_icons_are_of_entities_that_exist() -> None:
    """All entities exist; icons of actions, triggers and conditions are checked with their texts."""
    for platform, entities in ICONS["entity"].items():
        assert set(entities) <= set(TEXTS["entity"][platform])
        for key, icons in entities.items():
            # The states of binary sensors are Home Assistant's
            own = {STATE_ON, STATE_OFF} if platform == Platform.BINARY_SENSOR else set()
            states = own | set(TEXTS["entity"][platform][key].get("state", {}))
            assert set(icons.get("state", {})) <= states


def test_code_holds_no_icons() -> None:
    """All icons are in icons.json."""
    assert not [text for text in constants() if re.match(r"mdi:", text)]


def test_frontend_has_them() -> None:
    """Home Assistant's frontend has each icon."""
    folders = (ROOT / ".venvs" / "demo" / "lib").glob(
        "python3.*/site-packages/hass_frontend/static/mdi"
    )
    names = {
        name
        for folder in folders
        for path in folder.glob("*.json")
        if not path.name.startswith("icon")
        for name in json.loads(path.read_text(encoding="utf-8"))
    }
    if not names:
        pytest.skip("no frontend is here to ask: `scripts/setup demo` installs it")
    assert {icon.removeprefix("mdi:") for _, icon in strings(ICONS)} <= names
