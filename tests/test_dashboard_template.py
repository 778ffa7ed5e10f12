"""The dashboard to paste: what its templates write, for accounts of any name in any language."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi.const import DOMAIN
from homeassistant.components.history_stats.sensor import PLATFORM_SCHEMA
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.template import Template
from homeassistant.util.yaml import load_yaml, parse_yaml
from scripts.demo_lib.accounts import ACCOUNTS
from scripts.demo_lib.home import FILES
from scripts.setup_env.steps import ROOT

NAMES = ["Alpha", 'Bob\'s "best": #1', "金"]


def add_account(hass: HomeAssistant, entry: MockConfigEntry, name: str) -> str:
    """Register an account as a Home Assistant in another language does; return its device."""
    device = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={(DOMAIN, name)}, name=name
    )
    for domain, key, word in (
        ("binary_sensor", "terminal", "Endgerät"),
        ("binary_sensor", "broker", "Makler"),
        ("sensor", "status", "Zustand"),
        ("button", "reconnect", "Neu verbinden"),
    ):
        er.async_get(hass).async_get_or_create(
            domain,
            DOMAIN,
            f"{name}_{key}",
            suggested_object_id=f"{name} {word}",
            config_entry=entry,
            device_id=device.id,
        )
    return device.id


@pytest.fixture(name="entry")
def entry_fixture(hass: HomeAssistant) -> MockConfigEntry:
    """Return an entry with a hub and accounts."""
    # By this title a template finds the entities that are registered and not set up
    entry = MockConfigEntry(domain=DOMAIN, title=DOMAIN)
    entry.add_to_hass(hass)
    er.async_get(hass).async_get_or_create(
        "binary_sensor", DOMAIN, "link", config_entry=entry
    )
    return entry


def render(hass: HomeAssistant, name: str) -> Any:
    """Return what comes out of a template of the documentation, parsed."""
    template = (ROOT / "docs" / name).read_text()
    return parse_yaml(Template(template, hass).async_render(parse_result=False))


def cards(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield each card of a dashboard, those inside others too."""
    if isinstance(tree, list):
        for each in tree:
            yield from cards(each)
    elif isinstance(tree, dict):
        if "type" in tree:
            yield tree
        yield from cards(list(tree.values()))


def shown(dashboard: Any, kind: str) -> list[tuple[str, str]]:
    """Return the entities and names that the cards of a kind show, each once."""
    found: dict[tuple[str, str], None] = {}
    for card in cards(dashboard):
        if card["type"] == kind:
            for each in card.get("entities", [card]):
                found[each["entity"], each["name"]] = None
    return list(found)


def test_every_account_is_shown(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Each has its status and its button, is looked at for the list, and is in the graph."""
    for name in NAMES:
        device_id = add_account(hass, entry, name)
        er.async_get(hass).async_get_or_create(
            "button", "other", name, device_id=device_id
        )
    dashboard = render(hass, "dashboard.jinja")
    statuses = [
        ("sensor.alpha_zustand", "Alpha"),
        ("sensor.bob_s_best_1_zustand", 'Bob\'s "best": #1'),
        ("sensor.jin_zustand", "金"),
    ]
    assert shown(dashboard, "entity-filter") == statuses
    assert shown(dashboard, "history-graph") == statuses
    assert shown(dashboard, "tile") == [
        pair
        for status in statuses
        for pair in (
            status,
            (
                status[0]
                .replace("sensor", "button")
                .replace("zustand", "neu_verbinden"),
                "Reconnect",
            ),
        )
    ]


def test_each_status_has_one_tile_at_a_time(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    """Whatever the status is, it is shown in one color, and listed as down if that is red."""
    add_account(hass, entry, "Alpha")
    dashboard = render(hass, "dashboard.jinja")
    tiles = [
        card
        for card in cards(dashboard)
        if "visibility" in card and card.get("name") != "Reconnect"
    ]
    (conditions,) = [
        card["conditions"]
        for card in cards(dashboard)
        if card["type"] == "entity-filter"
    ]
    for status, colors in {
        "connected": ["green", None],
        "not_deployed": ["grey", None],
        "unknown": ["grey", None],
        "disconnected": ["red"],
        "broker_disconnected": ["red"],
        "unavailable": ["red"],
    }.items():
        visible = [card for card in tiles if all_met(card["visibility"], status)]
        assert [card.get("color") for card in visible] == colors
        assert all_met(conditions, status) is (colors == ["red"])


@pytest.mark.parametrize(
    ("status", "asks"),
    [("connected", True), ("disconnected", False), ("unavailable", False)],
)
def test_a_connected_account_is_not_reconnected_by_mistake(
    hass: HomeAssistant, entry: MockConfigEntry, status: str, asks: bool
) -> None:
    """There is one button at a time, and it asks first where nothing is wrong."""
    add_account(hass, entry, 'Bob\'s "best": #1')
    (tile,) = [
        card
        for card in cards(render(hass, "dashboard.jinja"))
        if card.get("name") == "Reconnect" and all_met(card["visibility"], status)
    ]
    for action in ("tap_action", "icon_tap_action"):
        assert tile[action]["action"] == "toggle"
        text = tile[action].get("confirmation", {}).get("text")
        assert text == (
            'Bob\'s "best": #1 is connected. Reconnect it all the same?'
            if asks
            else None
        )


def all_met(conditions: list[dict[str, Any]], state: str) -> bool:
    """Tell whether the frontend would find all conditions met."""
    return all(
        state in each["state"]
        if isinstance(each.get("state"), list)
        else state not in each["state_not"]
        for each in conditions
    )


def test_downtime_is_shown_where_it_is_measured(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    """Only for an account that has such sensors."""
    add_account(hass, entry, "Alpha")
    add_account(hass, entry, "Beta")
    before = render(hass, "dashboard.jinja")
    hass.states.async_set("sensor.beta_down_today", "0")
    hass.states.async_set("sensor.beta_down_this_week", "0")
    after = render(hass, "dashboard.jinja")
    assert [
        each for each in shown(after, "tile") if each not in shown(before, "tile")
    ] == [
        ("sensor.beta_down_today", "Beta today"),
        ("sensor.beta_down_this_week", "Beta this week"),
    ]


def test_the_downtime_sensors_are_valid(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    """Home Assistant takes them, and the dashboard finds them by their names."""
    for name in NAMES:
        add_account(hass, entry, name)
    ((key, sensors),) = render(hass, "downtime.jinja").items()
    assert key.split()[0] == "sensor"
    assert [sensor["name"] for sensor in sensors] == [
        f"{name} down {period}" for name in NAMES for period in ("today", "this week")
    ]
    for sensor in sensors:
        PLATFORM_SCHEMA(sensor)


def test_the_demo_has_what_the_template_writes(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    """Its sensors of downtime are there before its accounts are, so they are kept in a file."""
    registry = er.async_get(hass)
    for account in ACCOUNTS:
        add_account(hass, entry, account.name)
        german = f"sensor.{account.slug}_zustand"
        registry.async_update_entity(german, new_entity_id=account.status_id)
    kept = load_yaml(str(FILES / "simulated" / "downtime.yaml"))
    assert render(hass, "downtime.jinja") == kept


@pytest.mark.parametrize("template", ["dashboard.jinja", "downtime.jinja"])
@pytest.mark.usefixtures("entry")
def test_without_accounts_it_says_so(hass: HomeAssistant, template: str) -> None:
    """Nothing comes out that could be taken for a configuration."""
    assert render(hass, template).startswith("No MetaApi account is loaded")
