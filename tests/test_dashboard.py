"""Test the dashboard strategy, and how the frontend loads it."""

from collections.abc import Iterator
from datetime import timedelta
import json
from pathlib import Path
import shutil
import subprocess
from typing import Any

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.metaapi.api import Status
from custom_components.metaapi.const import DOMAIN
from custom_components.metaapi.dashboard import STRATEGY
from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL, UrlManager
from homeassistant.core import HomeAssistant
from homeassistant.helpers.template import Template
from homeassistant.setup import async_setup_component

from .flow_support import TEXTS

ROOT = Path(__file__).parents[1]
RUNNER = Path(__file__).with_name("dashboard_runner.js")

ENTITIES = {
    "terminal": "binary_sensor",
    "broker": "binary_sensor",
    "status": "sensor",
    "reconnect": "button",
    "disconnected_since": "sensor",
    "downtime": "sensor",
    "reconnect_result": "event",
}
DOWN = [
    "disconnected",
    "silent",
    "reconnecting",
    "reconnect_failed",
    "never_authenticated",
    "broker_disconnected",
]
OUT_OF_SIGHT = [
    "no_answer",
    "no_connection",
    "not_found",
    "quota_exhausted",
    "forbidden",
    "token_refused",
    "unavailable",
]
PERIODS = ["day", "week", "month"]

# The text of an outcome
MORE = {
    "entity.event.reconnect_result.state_attributes.event_type.state.timed_out": "did not come back in time"
}


class Home:
    """The part of a home that its frontend knows."""

    def __init__(self, *names: str) -> None:
        """Create accounts with these names."""
        self.entities: dict[str, dict[str, Any]] = {}
        self.devices: dict[str, dict[str, Any]] = {}
        self.states: dict[str, Any] = {}
        self.language = "en"
        self.locale = {"language": "en", "time_format": "24", "time_zone": "server"}
        self.user = {"is_admin": True}
        self.add_entity("binary_sensor.hub_link", "hub", "link")
        self.devices["hub"] = {"id": "hub", "name": "MetaApi", "identifiers": []}
        for name in names:
            self.add(name)

    def add_entity(self, entity_id: str, device_id: str, key: str, **more: Any) -> None:
        """Add an entity to the registry."""
        self.entities[entity_id] = {
            "entity_id": entity_id,
            "device_id": device_id,
            "translation_key": key,
            "platform": DOMAIN,
            **more,
        }

    def add(self, name: str, *, without: tuple[str, ...] = ()) -> str:
        """Add an account without some entities; return its device."""
        number = len(self.devices)
        device_id = f"device{number}"
        self.devices[device_id] = {
            "id": device_id,
            "name": name,
            "identifiers": [[DOMAIN, f"account{number}"]],
        }
        for key, domain in ENTITIES.items():
            if key not in without:
                self.add_entity(entity(number, key, domain), device_id, key)
        return device_id

    def as_json(self) -> dict[str, Any]:
        """Return the input of a strategy."""
        return {**vars(self), "config": {"time_zone": "UTC"}}


def entity(number: int, key: str, domain: str | None = None) -> str:
    """Return an entity id that contains neither the account's name nor its kind."""
    return f"{domain or ENTITIES[key]}.x{number}_{list(ENTITIES).index(key)}"


@pytest.fixture(name="node", scope="session")
def node_fixture() -> str:
    """Return Node; fail, not skip, without it."""
    kept = ROOT / ".venvs" / "node" / "node"
    found = str(kept) if kept.exists() else shutil.which("node")
    if not found:
        pytest.fail(f"There is no {kept}, and no node on the path")
    return found


class Strategy:
    """The strategy, called as by the frontend."""

    def __init__(self, node: str) -> None:
        """Store the path of Node."""
        self._node = node
        self.asked: set[str] = set()

    def call(self, name: str, home: Home, config: Any = None, **more: Any) -> Any:
        """Return the result of a function of the strategy."""
        given = {"call": name, "hass": home.as_json(), "config": config or {}, **more}
        done = subprocess.run(
            [self._node, RUNNER],
            input=json.dumps({"language": home.language, "more": MORE, **given}),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not done.stderr
        answer = json.loads(done.stdout)
        self.asked |= set(answer["asked"])
        return answer["result"]

    def generate(self, home: Home, **config: Any) -> Any:
        """Return the dashboard for a home."""
        return self.call("generate", home, {"type": "custom:metaapi", **config})


@pytest.fixture(name="strategy")
def strategy_fixture(node: str) -> Strategy:
    """Return the strategy."""
    return Strategy(node)


def cards(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield each card and badge of a dashboard."""
    if isinstance(tree, list):
        for each in tree:
            yield from cards(each)
    elif isinstance(tree, dict):
        if "type" in tree and "sections" not in tree and "cards" not in tree:
            yield tree
        for key, each in tree.items():
            if key not in {"visibility", "grid_options"}:
                yield from cards(each)


def of_kind(dashboard: Any, kind: str) -> list[dict[str, Any]]:
    """Return the cards of a type."""
    return [card for card in cards(dashboard) if card["type"] == kind]


def headings(dashboard: Any) -> list[str]:
    """Return the headings of the sections."""
    return [card["heading"] for card in of_kind(dashboard, "heading")]


def is_met(condition: dict[str, Any], states: dict[str, str]) -> bool:
    """Return whether the frontend would consider a condition met."""
    match condition:
        case {"condition": "state", "entity": entity_id, "state": wanted}:
            return states.get(entity_id, "unknown") in wanted
        case {"condition": "state", "entity": entity_id, "state_not": unwanted}:
            return states.get(entity_id, "unknown") not in unwanted
        case {"condition": "or", "conditions": conditions}:
            return any(is_met(each, states) for each in conditions)
        case {"condition": "and", "conditions": conditions}:
            return all(is_met(each, states) for each in conditions)
        case {"condition": "not", "conditions": conditions}:
            return not any(is_met(each, states) for each in conditions)
    raise AssertionError(condition)


def visible(some: list[dict[str, Any]], states: dict[str, str]) -> list[dict[str, Any]]:
    """Return the cards that are visible with these states."""
    return [
        card
        for card in some
        if all(is_met(each, states) for each in card.get("visibility", []))
    ]


def status_tiles(dashboard: Any, states: dict[str, str]) -> list[tuple[str, str]]:
    """Return the entities and colors of the visible status tiles."""
    return [
        (card["entity"], card["color"])
        for card in visible(of_kind(dashboard, "tile"), states)
        if card["name"] == "Status"
    ]


# -- content ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_admin", "buttons"),
    [(True, ["/config/integrations/dashboard/add?domain=metaapi"]), (False, [])],
)
def test_home_without_accounts(
    strategy: Strategy, is_admin: bool, buttons: list[str]
) -> None:
    """A text explains it, with a link for users who may add the integration."""
    home = Home()
    home.user = {"is_admin": is_admin}
    (view,) = strategy.generate(home)["views"]
    (card,) = view["cards"]
    assert card["title"] == "No accounts yet"
    assert card["content"].startswith("Add the MetaApi integration")
    assert [
        button["tap_action"]["navigation_path"] for button in card.get("buttons", [])
    ] == buttons


def test_one_account(strategy: Strategy) -> None:
    """One page shows everything about it, problems first."""
    dashboard = strategy.generate(Home("Scalper"))
    (view,) = dashboard["views"]
    assert dashboard["title"] == "Trading accounts"
    assert view["sections"][0]["cards"][0]["type"] == "markdown"
    assert headings(dashboard) == [
        "Scalper",
        "Downtime · Scalper",
        "Last 24 hours",
        "What happened",
    ]
    assert [
        (card["entity"], card["period"]["calendar"]["period"], card["stat_type"])
        for card in of_kind(dashboard, "statistic")
    ] == [(entity(1, "downtime"), period, "change") for period in PERIODS]
    (history,) = of_kind(dashboard, "history-graph")
    assert history["entities"] == [{"entity": entity(1, "status"), "name": "Scalper"}]
    (activity,) = of_kind(dashboard, "logbook")
    assert activity["target"]["entity_id"] == [entity(1, "reconnect_result")]


def test_missing_entities(strategy: Strategy) -> None:
    """The dashboard does not refer to missing entities."""
    home = Home()
    home.add(
        "Scalper",
        without=("disconnected_since", "downtime", "reconnect_result", "broker"),
    )
    dashboard = strategy.generate(home)
    assert "statistic" not in {card["type"] for card in cards(dashboard)}
    assert "undefined" not in json.dumps(dashboard)
    (activity,) = of_kind(dashboard, "logbook")
    assert activity["target"]["entity_id"] == [entity(1, "terminal")]


@pytest.mark.parametrize(
    ("status", "color"),
    [
        ("connected", "green"),
        *((status, "red") for status in DOWN),
        *((status, "orange") for status in OUT_OF_SIGHT),
        ("not_deployed", "grey"),
        ("unknown", "grey"),
    ],
)
def test_status_colors(strategy: Strategy, status: str, color: str) -> None:
    """A status that means down is red, one that means out of sight is orange."""
    dashboard = strategy.generate(Home("Scalper"))
    tile = (entity(1, "status"), color)
    assert status_tiles(dashboard, {entity(1, "status"): status}) == [tile]


def test_every_status_has_a_color() -> None:
    """A new status needs a color here and in the strategy."""
    placed = {"connected", "not_deployed", "unknown", *DOWN, *OUT_OF_SIGHT}
    assert placed - {"unavailable"} == {status.value for status in Status}


def test_since_when(strategy: Strategy) -> None:
    """The time is from the entity that keeps it across restarts and attempts."""
    since = entity(1, "disconnected_since")
    dashboard = strategy.generate(Home("Scalper"))
    tiles = [card for card in of_kind(dashboard, "tile") if card["entity"] == since]
    at_night = "2026-11-27T02:12:00+00:00"
    for status, value, count in (
        ("silent", at_night, 1),
        ("no_connection", at_night, 1),
        ("unknown", at_night, 1),
        ("silent", "unknown", 0),
        ("not_deployed", at_night, 0),
    ):
        states = {entity(1, "status"): status, since: value}
        assert len(visible(tiles, states)) == count, states


ASKED = [True]
PLAIN = [False]
NO_BUTTON: list[bool] = []


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("disconnected", PLAIN),
        ("silent", PLAIN),
        ("reconnect_failed", PLAIN),
        ("never_authenticated", PLAIN),
        # The terminal is, or may be, connected
        ("connected", ASKED),
        ("broker_disconnected", ASKED),
        ("no_answer", ASKED),
        # A reconnect cannot help
        ("reconnecting", NO_BUTTON),
        ("not_deployed", NO_BUTTON),
        ("not_found", NO_BUTTON),
        ("token_refused", NO_BUTTON),
        ("forbidden", NO_BUTTON),
        ("quota_exhausted", NO_BUTTON),
        ("no_connection", NO_BUTTON),
        ("unavailable", NO_BUTTON),
        ("unknown", NO_BUTTON),
    ],
)
def test_reconnect_asks_if_the_terminal_is_connected(
    strategy: Strategy, status: str, buttons: list[bool]
) -> None:
    """The button is at the account, and at the top if something is wrong."""
    dashboard = strategy.generate(Home("Scalper"))
    states = {entity(1, "status"): status}
    pressed = {"entity_id": entity(1, "reconnect")}

    def actions(some: list[dict[str, Any]]) -> list[bool]:
        shown = [card["tap_action"] for card in visible(some, states)]
        assert all(each["target"] == pressed for each in shown)
        assert all(each["perform_action"] == "button.press" for each in shown)
        return ["confirmation" in each for each in shown]

    assert actions(of_kind(dashboard, "button")) == buttons
    on_top = [
        card
        for card in of_kind(dashboard, "tile")
        if card["entity"] == entity(1, "reconnect")
    ]
    assert all(card["tap_action"] == card["icon_tap_action"] for card in on_top)
    assert actions(on_top) == (buttons if status != "connected" else NO_BUTTON)


def test_reconnect_confirmation(strategy: Strategy) -> None:
    """The question contains the account's name."""
    dashboard = strategy.generate(Home('Bob\'s "best" {account}'))
    (question,) = [
        card["tap_action"]["confirmation"]
        for card in of_kind(dashboard, "button")
        if "confirmation" in card["tap_action"]
    ]
    assert question["title"] == 'Reconnect Bob\'s "best" {account}?'
    assert question["text"].startswith("Open positions stay open")
    assert question["confirm_text"] == "Reconnect"


def test_accounts_are_sorted(strategy: Strategy) -> None:
    """Names with numbers are sorted numerically."""
    dashboard = strategy.generate(
        Home("beta 10", "Alpha", "beta 9"), sections=["accounts"]
    )
    assert headings(dashboard) == ["Alpha", "beta 9", "beta 10"]


def test_accounts_with_the_same_name(strategy: Strategy) -> None:
    """Their logins are shown if they are known."""
    home = Home("Scalper", "Scalper", "Swing")
    home.devices["device1"]["serial_number"] = "90210"
    dashboard = strategy.generate(home, sections=["accounts", "downtime"])
    names = ["Scalper (90210)", "Scalper (account2)", "Swing"]
    assert headings(dashboard) == [*names, *(f"Downtime · {name}" for name in names)]
    assert {card["entity"] for card in of_kind(dashboard, "statistic")} == {
        entity(number, "downtime") for number in (1, 2, 3)
    }


def test_renamed_account(strategy: Strategy) -> None:
    """The user's name takes precedence."""
    home = Home("Scalper")
    home.devices["device1"]["name_by_user"] = "Nachtfalke"
    assert headings(strategy.generate(home, sections=["accounts"])) == ["Nachtfalke"]


def test_account_without_status(
    strategy: Strategy,
) -> None:
    """If the user disabled *Status*, the other entities show whether it is down."""
    home = Home()
    home.add("Scalper", without=("status",))
    dashboard = strategy.generate(home)
    terminal, broker = entity(1, "terminal"), entity(1, "broker")
    for terminal_state, broker_state, color in (
        ("on", "on", "green"),
        ("on", "unknown", "green"),
        ("on", "off", "red"),
        ("off", "unknown", "red"),
        ("unavailable", "unavailable", "orange"),
        ("unknown", "unknown", "grey"),
    ):
        states = {terminal: terminal_state, broker: broker_state}
        assert status_tiles(dashboard, states) == [(terminal, color)], states


def test_disabled_terminal(strategy: Strategy) -> None:
    """The account is found by its device, since the frontend does not get disabled entities."""
    home = Home()
    home.add("Scalper", without=("terminal", "broker"))
    dashboard = strategy.generate(home)
    assert headings(dashboard)[0] == "Scalper"
    assert status_tiles(dashboard, {entity(1, "status"): "silent"}) == [
        (entity(1, "status"), "red")
    ]


def test_hidden_entities(strategy: Strategy) -> None:
    """They are not shown, except the status of an account that is down."""
    home = Home("Scalper")
    for each in home.entities.values():
        each["hidden"] = True
    dashboard = strategy.generate(home)
    assert status_tiles(dashboard, {entity(1, "status"): "silent"})
    used = json.dumps(dashboard)
    assert entity(1, "reconnect") not in used
    assert entity(1, "downtime") not in used


def test_foreign_entities_on_the_device(strategy: Strategy) -> None:
    """A helper that a user added to the device is not ours."""
    home = Home("Scalper")
    home.add_entity("sensor.other", "device1", "status", platform="template")
    home.add_entity("sensor.alone", "device7", "status")
    assert "other" not in json.dumps(strategy.generate(home))
    assert len(strategy.generate(home, sections=["accounts"])["views"]) == 1


def test_options(strategy: Strategy) -> None:
    """Accounts are selected by their devices, sections by their names."""
    home = Home("Scalper", "Swing", "Gold")
    dashboard = strategy.generate(
        home, accounts=["device2", "gone"], sections=["accounts", "history"]
    )
    assert headings(dashboard) == ["Swing", "Last 24 hours"]
    (empty,) = strategy.generate(home, accounts=["gone"])["views"]
    assert empty["cards"][0]["title"] == "No accounts yet"


def test_many_accounts(strategy: Strategy) -> None:
    """They are a list with a page per account, since hundreds of graphs overload the browser."""
    home = Home(*(f"Account {number}" for number in range(1, 301)))
    main, *pages = strategy.generate(home)["views"]
    rows = [row for card in of_kind(main, "entities") for row in card["entities"]]
    assert [row["name"] for row in rows] == [f"Account {n}" for n in range(1, 301)]
    assert {card["type"] for card in cards(main)} == {"markdown", "tile", "entities"}
    assert [row["tap_action"]["navigation_path"] for row in rows] == [
        page["path"] for page in pages
    ]
    assert all(page["subview"] for page in pages)
    assert pages[0]["title"] == "Account 1"
    assert headings(pages[0]) == [
        "Account 1",
        "Downtime · Account 1",
        "Last 24 hours",
        "What happened",
    ]
    assert len(of_kind(pages[0], "statistic")) == 3


# -- updates -------------------------------------------------------------------------------


def test_updates(strategy: Strategy) -> None:
    """The dashboard is generated again only after changes of accounts."""

    def follows(home: Home) -> bool:
        before = Home("Scalper").as_json()
        follow: bool = strategy.call("shouldRegenerate", home, before=before)
        return follow

    assert not follows(Home("Scalper"))
    other = Home("Scalper")
    other.add_entity("light.other", "device7", "light", platform="hue")
    assert not follows(other)
    assert follows(Home("Scalper", "Swing"))
    assert follows(Home())
    renamed = Home("Scalper")
    renamed.devices["device1"]["name_by_user"] = "Swing"
    assert follows(renamed)
    german = Home("Scalper")
    german.language = "de"
    assert follows(german)


# -- accounts that are down or out of sight --------------------------------------------------


@pytest.fixture(name="now")
async def now_fixture(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> str:
    """Set the clock to a morning, in a home in Berlin."""
    await hass.config.async_set_time_zone("Europe/Berlin")
    freezer.move_to("2026-11-27T06:00:00+00:00")
    return "07:00"


def render(hass: HomeAssistant, strategy: Strategy, home: Home) -> str:
    """Return the rendered alerts."""
    for entity_id in home.entities:
        if (state := hass.states.get(entity_id)) is not None:
            home.states[entity_id] = {"attributes": dict(state.attributes)}
    (card,) = of_kind(strategy.generate(home), "markdown")
    text: str = Template(card["content"], hass).async_render(
        parse_result=False, strict=True
    )
    return text


def alert(kind: str, title: str, *lines: str) -> str:
    """Return an alert as the frontend gets it."""
    text = "<br>".join(lines)
    return f'<ha-alert alert-type="{kind}" title="{title}">{text}</ha-alert>'


@pytest.mark.usefixtures("now")
def test_down(hass: HomeAssistant, strategy: Strategy) -> None:
    """A failed attempt changes the status and is shown, but does not change the time."""
    home = Home("Gold", "Scalper", "Swing")
    hass.states.async_set(entity(1, "status"), "broker_disconnected")
    hass.states.async_set(entity(1, "disconnected_since"), "2026-11-24T22:14:00+00:00")
    hass.states.async_set(entity(2, "status"), "reconnect_failed")
    hass.states.async_set(entity(2, "disconnected_since"), "2026-11-27T03:55:10+00:00")
    hass.states.async_set(
        entity(2, "reconnect_result"),
        "2026-11-27T05:30:00+00:00",
        {"event_types": ["timed_out"], "event_type": "timed_out"},
    )
    hass.states.async_set(entity(3, "status"), "connected")
    assert render(hass, strategy, home).split("\n\n") == [
        "## Down now",
        alert(
            "error",
            "Gold",
            "Broker disconnected",
            "Without its broker since Nov 24, 23:14 (2 days 7 hr)",
        ),
        alert(
            "error",
            "Scalper",
            "Reconnect failed",
            "Down since 04:55 (2 hr 4 min)",
            "Reconnect at 06:30: did not come back in time",
        ),
    ]


@pytest.mark.usefixtures("now")
def test_what_was_down_before_a_start(hass: HomeAssistant, strategy: Strategy) -> None:
    """Until it is known again, an outage that goes on as far as anybody knows stays on top."""
    home = Home("Gold", "Scalper")
    hass.states.async_set(entity(1, "status"), "unknown")
    hass.states.async_set(entity(1, "disconnected_since"), "unknown")
    hass.states.async_set(entity(2, "status"), "unknown")
    hass.states.async_set(entity(2, "disconnected_since"), "2026-11-27T03:55:10+00:00")
    box = "Checking whether it is back", "Down since 04:55 (2 hr 4 min)"
    assert render(hass, strategy, home).split("\n\n") == [
        "## Down now",
        alert("error", "Scalper", *box),
    ]


@pytest.mark.usefixtures("now")
def test_out_of_sight(hass: HomeAssistant, strategy: Strategy) -> None:
    """Accounts with the same reason and time share an alert, without old attempts."""
    home = Home("Gold", "Scalper", "Swing")
    hass.states.async_set(
        entity(1, "reconnect_result"),
        "2026-11-26T05:30:00+00:00",
        {"event_types": ["timed_out"], "event_type": "timed_out"},
    )
    for number in (1, 2):
        hass.states.async_set(entity(number, "status"), "no_connection")
        hass.states.async_set(entity(number, "terminal"), "unavailable")
    hass.states.async_set(entity(3, "status"), "unavailable")
    box = "MetaApi unreachable", "Out of sight since 07:00 (less than a minute)"
    assert render(hass, strategy, home).split("\n\n") == [
        "## Out of sight",
        alert("warning", "Gold, Scalper", *box),
        alert("warning", "Swing", "Unavailable", box[1]),
    ]


@pytest.mark.usefixtures("now")
def test_since_when_survives_a_restart(hass: HomeAssistant, strategy: Strategy) -> None:
    """Its states are new then; what is stored is not."""
    home = Home("Gold", "Scalper")
    since = {"since": "2026-11-27T03:55:10+00:00"}
    hass.states.async_set(entity(1, "status"), "broker_disconnected", since)
    hass.states.async_set(entity(2, "status"), "no_connection", since)
    assert render(hass, strategy, home).split("\n\n") == [
        "## Down now",
        alert(
            "error",
            "Gold",
            "Broker disconnected",
            "Without its broker since 04:55 (2 hr 4 min)",
        ),
        "## Out of sight",
        alert(
            "warning",
            "Scalper",
            "MetaApi unreachable",
            "Out of sight since 04:55 (2 hr 4 min)",
        ),
    ]


@pytest.mark.usefixtures("now")
def test_since_when_without_the_sensor(
    hass: HomeAssistant, strategy: Strategy, freezer: FrozenDateTimeFactory
) -> None:
    """The last change of terminal or broker is used, or no time is shown."""
    home = Home()
    for name in ("Gold", "Scalper"):
        home.add(name, without=("disconnected_since", "reconnect_result"))
    home.add("Swing", without=("disconnected_since", "terminal", "broker", "status"))
    hass.states.async_set(entity(1, "terminal"), "on")
    hass.states.async_set(entity(2, "terminal"), "off")
    freezer.tick(timedelta(minutes=10))
    hass.states.async_set(entity(1, "broker"), "off")
    hass.states.async_set(entity(1, "status"), "broker_disconnected")
    hass.states.async_set(entity(2, "status"), "reconnect_failed")
    freezer.tick(timedelta(minutes=1))
    assert render(hass, strategy, home).split("\n\n")[1:] == [
        alert(
            "error",
            "Gold",
            "Broker disconnected",
            "Without its broker since 07:10 (1 min)",
        ),
        alert("error", "Scalper", "Reconnect failed", "Down since 07:00 (11 min)"),
    ]


@pytest.mark.usefixtures("now")
def test_alert_of_an_account_without_status(
    hass: HomeAssistant, strategy: Strategy
) -> None:
    """It has an alert like any other account."""
    home = Home()
    for name in ("Gold", "Scalper", "Swing"):
        home.add(name, without=("status", "disconnected_since"))
    hass.states.async_set(entity(1, "terminal"), "on")
    hass.states.async_set(entity(1, "broker"), "off")
    hass.states.async_set(entity(2, "terminal"), "off")
    hass.states.async_set(entity(3, "terminal"), "unavailable")
    shown = render(hass, strategy, home)
    for title, reason in (
        ("Gold", "Broker disconnected"),
        ("Scalper", "Disconnected"),
        ("Swing", "Unavailable"),
    ):
        assert f'title="{title}">{reason}<br>' in shown


@pytest.mark.parametrize(
    ("statuses", "text"),
    [
        (("connected", "connected"), "All accounts are connected."),
        (("connected", "not_deployed"), "No account is down."),
        (("unknown", "unknown"), "No account is down."),
    ],
)
def test_nothing_is_down(
    hass: HomeAssistant, strategy: Strategy, statuses: tuple[str, str], text: str
) -> None:
    """A text says so, since an empty space would be ambiguous."""
    for number, status in enumerate(statuses, 1):
        hass.states.async_set(entity(number, "status"), status)
    shown = render(hass, strategy, Home("Gold", "Swing"))
    assert shown.endswith(f">{text}</ha-alert>")
    assert shown.count("<ha-alert") == 1


def test_names_are_escaped(hass: HomeAssistant, strategy: Strategy) -> None:
    """Neither the template nor the page interprets names."""
    name = "{{ 1/0 }} %} \"<b>\\n金' *x*"
    hass.states.async_set(entity(1, "status"), "silent")
    shown = render(hass, strategy, Home(name))
    assert (
        'title="{{ 1/0 }} %} &#34;&#60;b&#62;\\n金&#39; *x*">Terminal silent<br>'
        in shown
    )


@pytest.mark.parametrize(
    ("language", "time_format", "zone", "shown"),
    [
        ("de", "12", "server", "Ausgefallen seit 26. Nov., 11:30 PM"),
        (
            "de",
            "language",
            "server",
            "Ausgefallen seit 26. Nov., 23:30 (7 Std. 30 Min.)",
        ),
        ("zh-Hans", "24", "server", "自 11月26日, 23:30 起掉线"),
        # The browser's time zone is not that of the home
        ("en", "24", "local", "Down since Nov 26, 22:30 (7 hr 30 min)"),
    ],
)
@pytest.mark.usefixtures("now")
def test_format_of_times(
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
    strategy: Strategy,
    language: str,
    time_format: str,
    zone: str,
    shown: str,
) -> None:
    """Times have the user's language, format and time zone."""
    monkeypatch.setenv("TZ", "UTC")
    home = Home("Swing")
    home.language = language
    home.locale = {
        "language": language,
        "time_format": time_format,
        "time_zone": zone,
    }
    hass.states.async_set(entity(1, "status"), "disconnected")
    hass.states.async_set(entity(1, "disconnected_since"), "2026-11-26T22:30:00+00:00")
    home_zone = {"config": {"time_zone": "Europe/Berlin"}}
    given = {**home.as_json(), **home_zone}
    dashboard = strategy.call("generate", home, hass=given)
    (card,) = of_kind(dashboard, "markdown")
    assert shown in Template(card["content"], hass).async_render(
        parse_result=False, strict=True
    )


# -- editor and dialog ---------------------------------------------------------------------


def test_editor(strategy: Strategy) -> None:
    """It omits default options, and keeps unknown ones."""
    given = {"type": "custom:metaapi", "other": 1}

    def edit(**change: Any) -> Any:
        config = {"before": given, "change": change}
        return strategy.call("edit", Home("Scalper"), config)

    form = edit()
    assert [field["name"] for field in form["schema"]] == ["accounts", "sections"]
    assert [label for label, _ in form["texts"]] == ["Accounts", "Sections"]
    assert all(helper for _, helper in form["texts"])
    offered = form["schema"][1]["selector"]["select"]["options"]
    assert [option["value"] for option in offered] == form["data"]["sections"]
    assert form["changed"] == [given]
    chosen: dict[str, Any] = {"accounts": ["device1"], "sections": ["now"]}
    assert edit(**chosen)["changed"] == [{**given, **chosen}]


def test_dialog(strategy: Strategy) -> None:
    """The dialog shows a translated description, and can create the dashboard at once."""
    home = Home()
    home.language = "de"
    (offered,) = strategy.call("offered", home)
    assert offered["type"] == DOMAIN
    assert offered["strategyType"] == "dashboard"
    assert offered["name"] == "MetaApi"
    assert offered["description"].startswith("Was ausgefallen ist")
    suggested = strategy.call("getCreateSuggestions", home)
    assert suggested == {"title": "Handelskonten", "icon": "mdi:finance"}


def test_texts(strategy: Strategy) -> None:
    """Each text that the strategy needs exists, and none is unused."""
    strategy.generate(Home("Scalper"))
    strategy.generate(Home())
    strategy.call("offered", Home())
    strategy.call("edit", Home(), {"before": {"type": "custom:metaapi"}, "change": {}})
    used = {
        path.removeprefix("common.")
        for path in strategy.asked
        if path.startswith("common.")
    }
    kept = {key for key in TEXTS["common"] if key.startswith("dashboard_")}
    assert used == kept


# -- loading -------------------------------------------------------------------------------


async def test_it_is_served(
    hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator
) -> None:
    """The URL contains the version, so that browsers can cache it."""
    added: list[tuple[str, str]] = []
    hass.data[DATA_EXTRA_MODULE_URL] = UrlManager(
        lambda change, url: added.append((change, url)), []
    )
    hass.config.components.add("frontend")
    assert await async_setup_component(hass, "http", {})
    assert await async_setup_component(hass, DOMAIN, {})

    version = json.loads((STRATEGY.parent / "manifest.json").read_text())["version"]
    ((_, url),) = added
    assert version in url
    client = await hass_client_no_auth()
    answer = await client.get(url)
    assert answer.status == 200
    assert answer.content_type.endswith("javascript")
    assert await answer.text() == STRATEGY.read_text()
    assert "max-age" in answer.headers["Cache-Control"]


async def test_without_a_frontend(hass: HomeAssistant) -> None:
    """The integration also works without the frontend."""
    assert await async_setup_component(hass, DOMAIN, {})
    assert hass.services.has_service(DOMAIN, "reconnect")
    assert DATA_EXTRA_MODULE_URL not in hass.data
