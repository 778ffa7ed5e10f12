"""Test the documentation: links work, and its YAML is valid in Home Assistant."""

import json
from pathlib import Path
import re
from typing import Any
from unittest.mock import MagicMock
from urllib.parse import parse_qs, urlsplit

import pytest

from custom_components.metaapi.api import Outcome, ReconnectResult
from custom_components.metaapi.const import (
    DEFAULT_TIMEOUT,
    DOMAIN,
    MAX_TIMEOUT,
    MIN_TIMEOUT,
)
from custom_components.metaapi.services import RECONNECT_SCHEMA, Ended
from homeassistant.components import automation
from homeassistant.components.automation.config import (
    AutomationConfig,
    ValidationStatus,
    async_validate_config_item,
)
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml import parse_yaml

from .flow_support import TEXTS
from .source_support import DESCRIPTIONS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HOME = "https://github.com/ha-metaapi/ha-metaapi"
RAW = "https://raw.githubusercontent.com/ha-metaapi/ha-metaapi/main/"

IMAGE = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
BLOCK = re.compile(r"```yaml\n(?P<text>.*?)```", re.DOTALL)
HEADING = re.compile(r"^#+ (?P<text>.*)$", re.MULTILINE)


def blocks(page: Path) -> list[dict[str, Any]]:
    """Return the parsed YAML blocks of a page."""
    found = [parse_yaml(match["text"]) for match in BLOCK.finditer(page.read_text())]
    return [block for block in found if isinstance(block, dict)]


def anchors(page: Path) -> set[str]:
    """Return GitHub's anchors of the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", match["text"].lower()).replace(" ", "-")
        for match in HEADING.finditer(page.read_text())
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """Links within the repository lead to existing files and headings."""
    targets = [match["target"] for match in LINK.finditer(page.read_text())]
    assert targets or page.name != "README.md"
    for target in targets:
        url = urlsplit(target)
        if url.scheme:
            continue
        file = (page.parent / url.path).resolve() if url.path else page
        assert file.exists(), target
        assert not url.fragment or url.fragment in anchors(file), target


def test_pictures() -> None:
    """Pictures have absolute URLs, since HACS shows the README on its own site."""
    shown = []
    for match in IMAGE.finditer((ROOT / "README.md").read_text()):
        assert match["text"]
        if not match["target"].startswith("https://my.home-assistant.io/badges/"):
            assert match["target"].startswith(RAW), match["target"]
            shown.append(ROOT / match["target"].removeprefix(RAW))
    assert shown
    assert all(path.is_file() and path.suffix == ".png" for path in shown)


def test_blueprints_can_be_imported() -> None:
    """Each blueprint has an import button with the URL of its file."""
    named = set()
    for match in LINK.finditer((ROOT / "README.md").read_text()):
        if "/redirect/blueprint_import/" in match["target"]:
            (url,) = parse_qs(urlsplit(match["target"]).query)["blueprint_url"]
            named.add(ROOT / url.removeprefix(f"{HOME}/blob/main/"))
    assert named == set((ROOT / "blueprints").rglob("*.yaml"))


def test_every_status_is_listed() -> None:
    """The table has the value and the text of each status."""
    page = (ROOT / "docs" / "automations.md").read_text()
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| (?:on|off|unavailable) \|$", page, re.MULTILINE
    )
    english = json.loads(
        (ROOT / "custom_components/metaapi/translations/en.json").read_text()
    )
    assert dict(rows) == english["entity"]["sensor"]["status"]["state"]


def test_every_entity_is_described() -> None:
    """The README says of each entity what it shows, under its name."""
    page = PAGES[0].read_text()
    assert {
        entity["name"]
        for entities in TEXTS["entity"].values()
        for entity in entities.values()
        if f"**{entity['name']}**" not in page
    } == set(), "README.md does not describe these entities"


def test_every_field_is_described() -> None:
    """The tables of `docs/automations.md` have each option of actions, triggers and conditions."""
    page = (ROOT / "docs" / "automations.md").read_text()
    sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    for category, shapes in DESCRIPTIONS.items():
        for key, shape in shapes.items():
            title = (key if category == "services" else category).title()
            rows = re.findall(r"^\|([^|]*)\|", sections[title], re.MULTILINE)
            described = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
            assert set(shape["fields"]) - described == set(), (
                f"docs/automations.md has no row below {title} for these fields of {key}"
            )


@pytest.mark.parametrize("page", ["README.md", "docs/automations.md"])
def test_bounds_of_the_action(page: str) -> None:
    """How long the action waits is said where it is described."""
    bounds = f"{MIN_TIMEOUT} to {MAX_TIMEOUT}; without it, {DEFAULT_TIMEOUT}."
    assert bounds in (ROOT / page).read_text(), (
        f"{page} does not say of `timeout`: {bounds}"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_yaml(hass: HomeAssistant, page: Path) -> None:
    """Automations and parts of them are valid, and use existing fields of the response."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert await async_setup_component(hass, automation.DOMAIN, {})
    for block in blocks(page):
        if "rest_command" in block:
            # Tested by the module of that page
            continue
        if "accounts" in block:
            ended = Ended(MagicMock(), "", ReconnectResult(Outcome.AUTHENTICATED, 1.0))
            for account in block["accounts"]:
                assert list(account) == list(ended.response), (
                    f"{page.name}: the fields of the response are {list(ended.response)}"
                )
                Outcome(account["outcome"])
            continue
        whole: dict[str, Any] = {
            "alias": "Part",
            "triggers": [{"trigger": "homeassistant", "event": "start"}],
            "actions": [],
        }
        if "action" in block:
            whole["actions"] = [block]
            if block["action"] == f"{DOMAIN}.reconnect":
                RECONNECT_SCHEMA({**block["target"], **block.get("data", {})})
        elif "condition" in block:
            whole["conditions"] = [block]
        else:
            whole |= block
        config = await async_validate_config_item(hass, "1", whole)
        assert isinstance(config, AutomationConfig), block
        assert config.validation_status is ValidationStatus.OK, config.validation_error


def test_troubleshooting() -> None:
    """The table uses the translated names of the statuses."""
    english = json.loads(
        (ROOT / "custom_components/metaapi/translations/en.json").read_text()
    )
    shown = set(english["entity"]["sensor"]["status"]["state"].values())
    rows = re.findall(
        r"^\| Status is (.*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"\*([^*]+)\*", row)}
    assert named
    assert named <= shown
    # These two need no advice
    assert shown - named <= {"Connected", "Reconnecting"}
