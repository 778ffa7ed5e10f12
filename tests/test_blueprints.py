"""The blueprint, made into an automation of a home with the app's own phones."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
import time
from typing import Any
from unittest.mock import MagicMock, patch

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.test_util.aiohttp import AiohttpClientMocker
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.metaapi.api import (
    AccountState,
    Outcome,
    ReconnectResult,
    Status,
)
from custom_components.metaapi.const import DOMAIN
from custom_components.metaapi.outages import STORAGE_KEY
from homeassistant.components import automation
from homeassistant.components.blueprint.importer import fetch_blueprint_from_url
from homeassistant.components.trace.util import async_get_trace, async_list_traces
from homeassistant.core import HomeAssistant, ServiceCall, SupportsResponse
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.translation import async_get_translations

from .blueprint_support import (
    ALSO_DO,
    BLUEPRINT,
    NAME,
    PAGER,
    WEDNESDAY,
    Home,
    Phones,
    PushServer,
    add_pager,
    blueprint,
)
from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SWING,
    FakeMonitor,
    make_entry,
    setup_entry,
)
from .test_outages import stored
from .test_trigger import BROKER_AWAY, SWING_TERMINAL

ANDROID = "Pixel"
IOS = "iPhone"
QUIET = "input_boolean.holidays"
NOT_DEPLOYED = AccountState(terminal=False, status=Status.NOT_DEPLOYED)
FRIDAY = datetime(2026, 11, 20, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, tzinfo=UTC)
"""New York is five hours behind."""
DOWN = "Terminal lost at 03:12 (MetaTrader 5, 90210, Broker-Live)."


@pytest.fixture(autouse=True)
def config_folder(hass: HomeAssistant, tmp_path: Path) -> None:
    """Keep blueprints in a folder of the test's own."""
    hass.config.config_dir = str(tmp_path)


@pytest.fixture
async def home(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
) -> Home:
    """Make a home in which no reconnect brings a terminal back."""
    await hass.config.async_set_time_zone("Europe/Berlin")
    freezer.move_to(WEDNESDAY)
    home = Home(hass, freezer, monitors, await add_pager(hass))
    home.reconnects_fail()
    return home


@pytest.fixture
async def push(socket_enabled: None) -> AsyncIterator[PushServer]:
    """Run what delivers to phones."""
    async with PushServer.running() as server:
        yield server


@pytest.fixture
async def phones(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, push: PushServer
) -> Phones:
    """Let phones register."""
    return await Phones.of(hass, hass_client, push)


async def deliveries(hass: HomeAssistant) -> list[dict[str, Any]]:
    """Return what the traces of the automation say of each delivery, the oldest first."""
    await hass.async_block_till_done()
    found: list[dict[str, Any]] = []
    for listed in await async_list_traces(hass, automation.DOMAIN, "automation.one"):
        trace: Any = await async_get_trace(hass, "automation.one", listed["run_id"])
        found += [
            step["changed_variables"]["delivery"]
            for steps in trace["trace"].values()
            for step in steps
            if "delivery" in step.get("changed_variables", {})
        ][:1]
    return found


# -- the blueprint itself --------------------------------------------------------------


async def test_import(hass: HomeAssistant, aioclient_mock: AiohttpClientMocker) -> None:
    """Home Assistant takes the blueprint from its link, which is the one that it names itself."""
    path = f"blueprints/automation/{DOMAIN}/{NAME}.yaml"
    aioclient_mock.get(
        f"https://raw.githubusercontent.com/ha-metaapi/ha-metaapi/main/{path}",
        text=BLUEPRINT.read_text(encoding="utf-8"),
    )
    url = f"https://github.com/ha-metaapi/ha-metaapi/blob/main/{path}"
    imported = await fetch_blueprint_from_url(hass, url)
    assert imported.suggested_filename == f"ha-metaapi/{NAME}"
    assert imported.blueprint.domain == automation.DOMAIN
    assert imported.blueprint.metadata["source_url"] == url
    assert imported.blueprint.metadata["homeassistant"] == {"min_version": "2026.9.0"}
    assert imported.blueprint.validate() is None


def test_only_delivers() -> None:
    """It is short, and waits for nothing: state and waiting are the triggers'."""
    text = BLUEPRINT.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    for waiting in ("wait_template", "wait_for_trigger", "delay:", "while:", "until:"):
        assert waiting not in text
    assert [path.name for path in BLUEPRINT.parent.iterdir()] == [BLUEPRINT.name]


# -- one outage, as phones get it ------------------------------------------------------

DOWN_DE = (
    "Verbindung zum Terminal um 03:12 verloren (MetaTrader 5, 90210, Broker-Live)."
)
TEXTS = {
    "en": {
        "down": "Swing is down",
        "still": "Swing is still down",
        "back": "Swing is back",
        "button": "Reconnect",
        "first": f"{DOWN} Reconnecting at 03:17.",
        "due": f"{DOWN} Reconnecting now, attempt 1.",
        "failed": f"{DOWN} Reconnecting at 03:17 failed: Refused by MetaApi (no such terminal). Reconnecting at 03:27.",
        "gave_up": (
            f"{DOWN} Reconnecting at 03:47 failed: Refused by MetaApi (no such terminal)."
            " Home Assistant will not try again by itself. Look at the account at MetaApi."
        ),
        "over": "It was down for 1 h 0 min, from 03:12. Attempts to reconnect: 3.",
    },
    "de": {
        "down": "Swing ist ausgefallen",
        "still": "Swing ist immer noch ausgefallen",
        "back": "Swing ist wieder da",
        "button": "Neu verbinden",
        "first": f"{DOWN_DE} Wird um 03:17 neu verbunden.",
        "due": f"{DOWN_DE} Wird jetzt neu verbunden, Versuch 1.",
        "failed": (
            f"{DOWN_DE} Neuverbinden um 03:17 fehlgeschlagen: Von MetaApi abgelehnt"
            " (no such terminal). Wird um 03:27 neu verbunden."
        ),
        "gave_up": (
            f"{DOWN_DE} Neuverbinden um 03:47 fehlgeschlagen: Von MetaApi abgelehnt"
            " (no such terminal). Home Assistant versucht es nicht mehr von selbst. Sieh dir das Konto bei MetaApi an."
        ),
        "over": "Das Konto war ab 03:12 ausgefallen, 1 Std. 0 Min. lang. Versuche, neu zu verbinden: 3.",
    },
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("wake", ["normal", "time_sensitive", "critical"])
async def test_story(
    hass: HomeAssistant,
    home: Home,
    phones: Phones,
    push: PushServer,
    language: str,
    wake: str,
) -> None:
    """From the drop to the all-clear, as an Android phone and an iPhone get it."""
    await hass.config.async_update(language=language)
    # as Home Assistant does when its language changes
    await async_get_translations(hass, language, "common", {DOMAIN})
    android = await phones.add(ANDROID)
    ios = await phones.add(IOS, apple=True)
    home.reconnects_fail(Outcome.REFUSED, "no such terminal")
    await home.automate(
        "swing",
        phones=[android.device_id, ios.device_id],
        wake=wake,
        url="/lovelace/trading",
    )
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=1)
    assert list(home.shown().values()) == [TEXTS[language]["down"]]
    await home.lasts(minutes=59)
    await home.show("swing", CONNECTED)
    assert home.shown() == {}

    texts = TEXTS[language]
    button = {
        "action": f"METAAPI_RECONNECT_{home.device('swing')}",
        "title": texts["button"],
    }
    common = {
        "tag": f"metaapi_{SWING.account_id}",
        "group": "metaapi",
        "url": "/lovelace/trading",
        "clickAction": "/lovelace/trading",
    }
    woken: dict[str, dict[str, Any]] = {
        "normal": common,
        "time_sensitive": common
        | {
            "ttl": 0,
            "priority": "high",
            "push": {"interruption-level": "time-sensitive"},
        },
        "critical": common
        | {
            "ttl": 0,
            "priority": "high",
            "channel": "alarm_stream",
            "push": {
                "interruption-level": "critical",
                "sound": {"name": "default", "critical": 1, "volume": 1.0},
            },
        },
    }
    urgent = woken[wake]
    silent = common | {"alert_once": True, "push": {"interruption-level": "passive"}}
    received = push.received(ANDROID)
    assert received == push.received(IOS)
    assert received[:3] == [
        {
            "title": texts["down"],
            "message": texts["first"],
            "data": {**urgent, "actions": [button]},
        },
        {"title": texts["still"], "message": texts["due"], "data": silent},
        {
            "title": texts["still"],
            "message": texts["failed"],
            "data": {**silent, "actions": [button]},
        },
    ]
    assert received[-2:] == [
        {
            "title": texts["still"],
            "message": texts["gave_up"],
            "data": {**urgent, "actions": [button]},
        },
        {"title": texts["back"], "message": texts["over"], "data": common},
    ]
    assert len(received) == 8


async def test_button(home: Home, phones: Phones, push: PushServer) -> None:
    """The button of a message reconnects; what comes of it is told."""
    phone = await phones.add(ANDROID)
    await home.automate("swing", phones=[phone.device_id], reconnect=False)
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=1)
    (message,) = push.received(ANDROID)
    home.reconnects_fail(Outcome.REFUSED, "no such terminal")
    await phones.press(phone, message)
    assert home.reconnects() == ["swing"]
    (message,) = push.received(ANDROID)
    assert message["title"] == "Swing is still down"
    assert "Refused by MetaApi (no such terminal)" in message["message"]
    home.reconnects_work()
    await phones.press(phone, message)
    assert home.reconnects() == ["swing"]
    assert push.titles(ANDROID) == ["Swing is back"]


async def test_button_of_another_account(
    home: Home, phones: Phones, push: PushServer
) -> None:
    """An automation answers for its own accounts; with MetaApi itself, for all."""
    phone = await phones.add(ANDROID)
    button = {
        "data": {"actions": [{"action": f"METAAPI_RECONNECT_{home.device('scalp')}"}]}
    }
    foreign = {"data": {"actions": [{"action": "OPEN_THE_DOOR"}]}}
    await home.automate("swing")
    for message in (button, foreign):
        await phones.press(phone, message)
        assert home.reconnects() == []
    await home.save(accounts=home.hub)
    await phones.press(phone, foreign)
    assert home.reconnects() == []
    await phones.press(phone, button)
    assert home.reconnects() == ["scalp"]


async def test_button_that_cannot_do_anything(
    hass: HomeAssistant, home: Home, phones: Phones
) -> None:
    """A button whose action raises does not pass over it in silence."""
    phone = await phones.add(ANDROID)
    await home.automate("swing")

    async def fail(call: ServiceCall) -> None:
        raise HomeAssistantError("not permitted")

    hass.services.async_register(
        DOMAIN, "reconnect", fail, supports_response=SupportsResponse.OPTIONAL
    )
    action = f"METAAPI_RECONNECT_{home.device('swing')}"
    await phones.press(phone, {"data": {"actions": [{"action": action}]}})
    assert list(home.shown().values()) == ["Swing"]


# -- row by row ------------------------------------------------------------------------


async def test_row_1_who_cannot_be_reached(
    hass: HomeAssistant, home: Home, phones: Phones, push: PushServer
) -> None:
    """A phone without push, one that was deleted, one called 📱, a missing action: all others are told."""
    mute = await phones.add("Mute", push=False)
    emoji = await phones.add("📱", token="emoji")
    good = await phones.add(ANDROID)
    gone = "0123456789abcdef"
    also = [{"action": "siren.no_such_action"}]
    await home.automate(
        "swing",
        phones=[mute.device_id, gone, emoji.device_id, good.device_id],
        notifiers=["notify.nobody", PAGER],
        actions=also,
    )
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=1)
    assert push.titles(ANDROID) == push.titles("emoji") == ["Swing is down"]
    assert home.messages() == [f"Swing is down: {DOWN} Reconnecting at 03:17."]
    assert list(home.shown().values()) == ["Swing is down"]
    (delivery,) = await deliveries(hass)
    assert set(delivery["sent"]) == {emoji.device_id, good.device_id, PAGER}
    assert {one["target"]: one["error"] for one in delivery["failed"]} == {
        mute.device_id: "There is no action notify.mobile_app_mute",
        gone: f"There is no device {gone}",
        "notify.nobody": "notify.nobody does not exist",
    }
    await home.lasts(minutes=4)
    assert home.reconnects() == ["swing"]
    for token in (ANDROID, "emoji"):
        push.received(token)
    home.messages()
    await home.show("swing", CONNECTED)
    assert push.titles(ANDROID) == push.titles("emoji") == ["Swing is back"]
    assert home.messages() == [
        "Swing is back: It was down for 5 min, from 03:12. Attempts to reconnect: 1."
    ]
    assert home.shown() == {}


async def test_row_1_hand_written_action_that_vanished(home: Home) -> None:
    """Nobody to tell: Home Assistant's own notification comes, and goes at the all-clear."""
    await home.automate("swing")
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=1)
    assert list(home.shown()) == [f"metaapi_{SWING.account_id}"]
    await home.show("swing", CONNECTED)
    assert home.shown() == {}


@pytest.mark.parametrize("how", ["made", "saved", "switched on", "reloaded"])
async def test_row_2_down_already(hass: HomeAssistant, home: Home, how: str) -> None:
    """Being attached is like a start: told, and repaired."""
    inputs: dict[str, Any] = {"notifiers": [PAGER]}
    if how != "made":
        await home.automate("swing", **inputs)
    if how == "switched on":
        await hass.services.async_call(
            automation.DOMAIN, "turn_off", {"entity_id": "all"}, blocking=True
        )
    await home.show("swing", DISCONNECTED)
    if how in ("saved", "reloaded"):
        await home.lasts(minutes=3)
        home.messages()
    if how == "made":
        await home.lasts(minutes=3)
        await home.automate("swing", **inputs)
    elif how == "saved":
        await home.save("swing", disconnected_for={"minutes": 2}, **inputs)
    elif how == "switched on":
        await home.lasts(minutes=3)
        await hass.services.async_call(
            automation.DOMAIN, "turn_on", {"entity_id": "all"}, blocking=True
        )
    else:
        assert await hass.config_entries.async_reload(home.entry.entry_id)
        home.reconnects_fail()
        await home.show("swing", DISCONNECTED)
    if how != "reloaded":
        await home.lasts(minutes=0.5)
        assert home.messages() == [f"Swing is down: {DOWN} Reconnecting at 03:17."]
    await home.lasts(minutes=2)
    assert home.reconnects() == ["swing"]


async def test_row_2_saved_amid_a_repair(home: Home) -> None:
    """Saving the automation between two attempts ends nothing, and repeats none."""
    await home.automate("swing")
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=6)
    assert home.reconnects() == ["swing"]
    await home.save("swing")
    await home.lasts(minutes=8)
    assert home.reconnects() == []
    await home.lasts(minutes=2)
    assert home.reconnects() == ["swing"]
    await home.save("swing")
    await home.lasts(minutes=18)
    assert home.reconnects() == []
    await home.lasts(minutes=3)
    assert home.reconnects() == ["swing"]
    await home.lasts(minutes=120)
    assert home.reconnects() == []


async def test_row_2_late_attempts_are_one(home: Home) -> None:
    """Where two attempts were due before the automation was made, one is made."""
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=20)
    await home.automate("swing")
    await home.lasts(minutes=1)
    assert home.reconnects() == ["swing"]
    await home.lasts(minutes=13)
    assert home.reconnects() == []
    await home.lasts(minutes=2)
    assert home.reconnects() == ["swing"]


@pytest.mark.parametrize("change", ["hidden", "disabled", "renamed", "removed"])
async def test_row_3_whatever_its_entities_look_like(
    hass: HomeAssistant, home: Home, change: str
) -> None:
    """What a person made of the entity *Terminal* keeps nobody from being told."""
    await home.automate("swing", notifiers=[PAGER])
    registry = er.async_get(hass)
    changes: dict[str, dict[str, Any]] = {
        "hidden": {"hidden_by": er.RegistryEntryHider.USER},
        "disabled": {"disabled_by": er.RegistryEntryDisabler.USER},
        "renamed": {"new_entity_id": "binary_sensor.other"},
    }
    if change == "removed":
        registry.async_remove(SWING_TERMINAL)
    else:
        registry.async_update_entity(SWING_TERMINAL, **changes[change])
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=1)
    assert home.messages() == [f"Swing is down: {DOWN} Reconnecting at 03:17."]
    await home.show("swing", CONNECTED)
    assert len(home.messages()) == 1


async def test_row_5_renamed_during_an_outage(hass: HomeAssistant, home: Home) -> None:
    """An account that is renamed amid an outage goes on, under its new name."""
    await home.automate("swing", notifiers=[PAGER])
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=2)
    home.messages()
    dr.async_get(hass).async_update_device(home.device("swing"), name_by_user="Trend")
    er.async_get(hass).async_update_entity(
        SWING_TERMINAL, new_entity_id="binary_sensor.trend"
    )
    await home.lasts(minutes=3)
    assert home.reconnects() == ["swing"]
    home.messages()
    await home.show("swing", CONNECTED)
    assert [message.split(":")[0] for message in home.messages()] == ["Trend is back"]


async def test_row_5_removed_during_an_outage(hass: HomeAssistant, home: Home) -> None:
    """An account that is removed amid an outage is told of no more, nor shown."""
    await home.automate("swing", notifiers=[PAGER])
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=2)
    assert home.shown()
    home.messages()
    subentry = next(iter(home.entry.subentries))
    hass.config_entries.async_remove_subentry(home.entry, subentry)
    await hass.async_block_till_done()
    assert home.shown() == {}
    await home.lasts(minutes=60)
    assert (home.messages(), home.reconnects()) == ([], [])


async def test_row_8_one_value_in_place_of_a_list(
    home: Home, phones: Phones, push: PushServer
) -> None:
    """What a person writes by hand need not be a list."""
    phone = await phones.add(ANDROID)
    await home.automate(
        accounts=home.device("swing"),
        phones=phone.device_id,
        notifiers=PAGER,
        actions=ALSO_DO,
        quiet_entities=QUIET,
    )
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=1)
    (message,) = push.received(ANDROID)
    assert len(home.messages()) == 1
    assert home.phases() == ["lost"]
    home.reconnects_work()
    await phones.press(phone, message)
    assert push.titles(ANDROID) == ["Swing is back"]


async def test_row_9_clock_set_back(home: Home) -> None:
    """A clock that is set back makes no outage shorter than nothing, and no alarm late."""
    await home.automate("swing", notifiers=[PAGER])
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=2)
    assert len(home.messages()) == 1
    home.freezer.move_to(WEDNESDAY - timedelta(hours=1))
    await home.show("swing", CONNECTED)
    assert home.messages() == []
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=1)
    home.freezer.move_to(WEDNESDAY - timedelta(hours=2))
    home.messages()
    await home.save("swing", notifiers=[PAGER], disconnected_for={"seconds": 0})
    home.messages()
    await home.show("swing", CONNECTED)
    assert home.messages() == ["Swing is back: It was down for 0 s, from 02:12."]


async def test_row_10_out_of_sight(home: Home) -> None:
    """Out of sight is told after a while, and so is that it is in sight again."""
    await home.automate("swing", notifiers=[PAGER])
    await home.show("swing", NO_CONNECTION)
    await home.lasts(minutes=14)
    assert home.messages() == []
    await home.lasts(minutes=1)
    (message,) = home.messages()
    assert message == (
        "Swing is out of sight: Home Assistant has not seen it since 03:12 (MetaTrader 5, 90210, Broker-Live). Status: MetaApi"
        " unreachable. Check the network of your home, or whether MetaApi has a fault."
    )
    await home.lasts(minutes=15)
    await home.show("swing", CONNECTED)
    assert home.messages() == [
        "Swing is in sight again: Home Assistant could not see it for 30 min, from 03:12. Status: Connected."
    ]
    assert home.shown() == {}
    await home.show("swing", NO_CONNECTION)
    await home.lasts(minutes=10)
    await home.show("swing", CONNECTED)
    assert home.messages() == []


async def test_row_10_set_up_that_fails(hass: HomeAssistant, home: Home) -> None:
    """An entry that cannot be set up is out of sight as well."""
    await home.automate("swing", notifiers=[PAGER])
    with patch(
        "custom_components.metaapi.async_setup_entry",
        side_effect=HomeAssistantError("broken"),
    ):
        await hass.config_entries.async_reload(home.entry.entry_id)
    await home.lasts(minutes=15)
    assert [message.split(":")[0] for message in home.messages()] == [
        "Swing is out of sight"
    ]


@pytest.mark.parametrize(
    ("drops", "back", "told"),
    [
        pytest.param(
            FRIDAY.replace(hour=21, minute=58),
            None,
            FRIDAY.replace(hour=21, minute=59),
            id="before",
        ),
        pytest.param(
            FRIDAY.replace(hour=21, minute=59, second=30),
            None,
            SUNDAY.replace(hour=22),
            id="not long enough before",
        ),
        pytest.param(
            FRIDAY.replace(hour=23), None, SUNDAY.replace(hour=22), id="amid it"
        ),
        pytest.param(
            FRIDAY.replace(hour=23), SUNDAY.replace(hour=21), None, id="back before"
        ),
        pytest.param(
            datetime(2026, 7, 10, 20, 58, tzinfo=UTC),
            None,
            datetime(2026, 7, 10, 20, 59, tzinfo=UTC),
            id="before, in summer",
        ),
        pytest.param(
            datetime(2026, 7, 10, 21, tzinfo=UTC),
            None,
            datetime(2026, 7, 12, 21, tzinfo=UTC),
            id="amid it, in summer",
        ),
        pytest.param(
            datetime(2027, 3, 12, 23, tzinfo=UTC),
            None,
            datetime(2027, 3, 14, 21, tzinfo=UTC),
            id="the clocks change meanwhile",
        ),
    ],
)
async def test_row_12_weekend(
    home: Home, drops: datetime, back: datetime | None, told: datetime | None
) -> None:
    """The weekend is New York's; what is still down when it ends is told then."""
    await home.until(drops - timedelta(minutes=1))
    await home.automate("swing", notifiers=[PAGER])
    await home.until(drops)
    await home.show("swing", DISCONNECTED)
    if back is not None:
        await home.until(back)
        await home.show("swing", CONNECTED)
        await home.until(back + timedelta(days=1))
        assert home.messages() == []
        return
    assert told is not None
    if told - drops > timedelta(hours=1):
        await home.until(drops + timedelta(minutes=1))
        await home.until(drops + timedelta(minutes=40))
        await home.until(told - timedelta(seconds=1))
        assert (home.messages(), home.reconnects(), home.shown()) == ([], [], {})
    else:
        await home.until(told - timedelta(seconds=1))
        assert home.messages() == []
    await home.until(told)
    assert home.messages()[0].startswith("Swing is down: Terminal lost at")


async def test_row_12_told_before_the_weekend(home: Home) -> None:
    """What was told before is told again when it is still down afterwards; that it is back is told at once."""
    await home.until(FRIDAY.replace(hour=21))
    await home.automate("swing", "scalp", notifiers=[PAGER])
    for account in ("swing", "scalp"):
        await home.show(account, DISCONNECTED)
    await home.lasts(minutes=50)
    home.messages()
    await home.until(FRIDAY.replace(hour=23))
    await home.show("scalp", CONNECTED)
    assert [message.split(":")[0] for message in home.messages()] == ["Scalp is back"]
    await home.until(SUNDAY.replace(hour=22))
    assert home.messages()[0].startswith("Swing is down")


async def test_row_12_entity(hass: HomeAssistant, home: Home) -> None:
    """Any schedule, calendar or switch makes it quiet, for reconnects too."""
    hass.states.async_set(QUIET, "on")
    await home.automate("swing", "scalp", notifiers=[PAGER], quiet_entities=[QUIET])
    for account in ("swing", "scalp"):
        await home.show(account, DISCONNECTED)
    await home.lasts(minutes=30)
    assert (home.messages(), home.reconnects()) == ([], [])
    await home.show("scalp", CONNECTED)
    hass.states.async_set(QUIET, "off")
    await hass.async_block_till_done()
    await home.lasts(minutes=0.5)
    assert home.messages()[0].startswith("Swing is down")
    assert home.reconnects() == ["swing"]


async def test_row_13_another_entity_on_the_device(
    hass: HomeAssistant, home: Home
) -> None:
    """What others put onto the account's device changes nothing."""
    for domain in ("sensor", "binary_sensor"):
        er.async_get(hass).async_get_or_create(
            domain,
            "other",
            "1",
            suggested_object_id="a_first_one",
            device_id=home.device("swing"),
        )
        hass.states.async_set(f"{domain}.a_first_one", "no_connection")
    await home.automate("swing", notifiers=[PAGER])
    await home.lasts(minutes=20)
    assert home.messages() == []
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=1)
    assert [message.split(":")[0] for message in home.messages()] == ["Swing is down"]


# -- the rest of what it promises ------------------------------------------------------


async def test_broker(home: Home) -> None:
    """A lost broker is told after a while, and so is that it is back; it can be turned off."""
    await home.automate("swing", notifiers=[PAGER])
    await home.show("swing", BROKER_AWAY)
    await home.lasts(minutes=5)
    assert home.messages() == [
        "Swing has lost its broker: Broker lost at 03:12 (MetaTrader 5, 90210, Broker-Live). The terminal itself is connected."
    ]
    await home.lasts(minutes=5)
    await home.show("swing", CONNECTED)
    assert home.messages() == [
        "Swing has its broker again: It was without its broker for 10 min, from 03:12."
    ]
    assert home.reconnects() == []
    await home.save("swing", notifiers=[PAGER], broker=False)
    await home.show("swing", BROKER_AWAY)
    await home.lasts(minutes=10)
    assert home.messages() == []


async def test_short_drop(home: Home) -> None:
    """What is back in time is told neither as lost nor as back."""
    await home.automate("swing", notifiers=[PAGER])
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=0.5)
    await home.show("swing", CONNECTED)
    await home.lasts(minutes=10)
    assert (home.messages(), home.reconnects()) == ([], [])


async def test_not_deployed(home: Home) -> None:
    """An account that is not deployed is told, and left alone."""
    await home.automate("swing", notifiers=[PAGER])
    await home.show("swing", NOT_DEPLOYED)
    await home.lasts(minutes=60)
    assert home.messages() == [
        f"Swing is down: {DOWN} Status: Not deployed. Deploy it at MetaApi."
    ]
    assert home.reconnects() == []


async def test_attempt_that_works(home: Home) -> None:
    """An attempt that works is told as the end of the outage."""
    await home.automate("swing", notifiers=[PAGER])
    home.reconnects_work()
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=60)
    assert home.reconnects() == ["swing"]
    assert [message.split(":")[0] for message in home.messages()] == [
        "Swing is down",
        "Swing is still down",
        "Swing is back",
    ]


async def test_run_by_hand(
    hass: HomeAssistant, home: Home, phones: Phones, push: PushServer
) -> None:
    """Run by hand, it sends a test message to everybody and shows who could not be reached."""
    good = await phones.add(ANDROID)
    refused = await phones.add("Old phone")
    push.refused.add("Old phone")
    await home.automate(
        "swing",
        phones=[good.device_id, refused.device_id],
        notifiers=[PAGER, "notify.nobody"],
        actions=[ALSO_DO],
    )
    await home.run_by_hand()
    assert push.titles(ANDROID) == ["Test of your MetaApi alarm"] * 2
    assert home.messages() == [
        "Test of your MetaApi alarm: You will be told here when one of your terminals drops, and when it is back."
    ]
    assert home.phases() == ["test"]
    (shown,) = [
        notification["message"]
        for notification in hass.data["persistent_notification"].values()
    ]
    assert "notify.old_phone" in shown
    assert "notify.nobody" in shown
    assert home.reconnects() == []


async def test_phones_of_one_name(home: Home, phones: Phones, push: PushServer) -> None:
    """Two phones of one name get one message each."""
    both = [await phones.add(ANDROID, token=token) for token in ("first", "second")]
    await home.automate("swing", phones=[phone.device_id for phone in both])
    await home.show("swing", DISCONNECTED)
    await home.lasts(minutes=1)
    assert push.titles("first") == push.titles("second") == ["Swing is down"]


# -- many ------------------------------------------------------------------------------


@pytest.fixture
def many(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> Callable[[int], Any]:
    """Return what makes a home with many accounts, all connected."""

    async def make(count: int) -> tuple[Home, list[str]]:
        freezer.move_to(WEDNESDAY)
        accounts = [
            replace(SWING, account_id=f"account-{number}", name=f"Account {number:03}")
            for number in range(count)
        ]
        provisioning.accounts.return_value = accounts
        await setup_entry(hass, make_entry(*accounts))
        home = Home(hass, freezer, monitors, await add_pager(hass))
        ids = [account.account_id for account in accounts]
        for account_id in ids:
            home.monitor.push(account_id, CONNECTED)
            home.monitor.reconnect_results[account_id] = [
                ReconnectResult(Outcome.TIMED_OUT, 60.0)
            ] * 9
        await hass.async_block_till_done()
        return home, ids

    return make


@pytest.mark.parametrize("count", [5, 6, 130])
async def test_row_6_many_at_once(
    hass: HomeAssistant, many: Callable[[int], Any], count: int
) -> None:
    """Where more than five drop within a minute, one message names them, and all of them."""
    home, ids = await many(count)
    await home.automate(accounts=[home.hub], notifiers=[PAGER])
    for number, account_id in enumerate(ids):
        home.monitor.push(account_id, DISCONNECTED)
        if number % 50 == 49:
            home.freezer.tick(10)
    await home.lasts(minutes=1.5)
    messages = home.messages()
    if count == 5:
        assert len(messages) == 5
    else:
        assert len(messages) == 1
        assert messages[0].startswith(f"{count} accounts are down: Account 000, ")
        assert list(home.shown()) == ["metaapi_many"]
    await home.lasts(minutes=5)
    assert sorted(home.reconnects()) == sorted(ids)
    assert len(home.messages()) == (10 if count == 5 else 2)
    for account_id in ids:
        home.monitor.push(account_id, CONNECTED)
    await home.lasts(minutes=0.5)
    messages = home.messages()
    assert len(messages) == (5 if count == 5 else 1)
    if count > 5:
        assert messages[0].startswith(f"{count} accounts are back: Account 000, ")
    assert home.shown() == {}


async def test_row_6_back_one_by_one(many: Callable[[int], Any]) -> None:
    """What came as one message goes when the last is back, though they come back one by one."""
    home, ids = await many(7)
    await home.automate(accounts=[home.hub], notifiers=[PAGER], reconnect=False)
    for account_id in ids:
        home.monitor.push(account_id, DISCONNECTED)
    await home.lasts(minutes=2)
    assert len(home.messages()) == 1
    for account_id in ids[:4]:
        home.monitor.push(account_id, CONNECTED)
        await home.lasts(minutes=0.5)
    await home.lasts(minutes=1)
    assert len(home.messages()) == 4
    assert list(home.shown()) == ["metaapi_many"]
    for account_id in ids[4:]:
        home.monitor.push(account_id, CONNECTED)
        await home.lasts(minutes=0.5)
    assert len(home.messages()) == 3
    assert home.shown() == {}


async def test_row_6_a_thousand(
    hass: HomeAssistant,
    many: Callable[[int], Any],
    record_property: Callable[[str, object], None],
) -> None:
    """A thousand accounts that drop at once make one message, and cost seconds at most."""
    home, ids = await many(1000)
    await home.automate(accounts=[home.hub], notifiers=[PAGER])
    began = time.process_time()
    for account_id in ids:
        home.monitor.push(account_id, DISCONNECTED)
    await hass.async_block_till_done()
    states = time.process_time() - began
    await home.lasts(minutes=1.5)
    told = time.process_time() - began - states
    (message,) = home.messages()
    assert message.startswith("1000 accounts are down: Account 000, ")
    assert len(message) < 1000
    for account_id in ids:
        home.monitor.push(account_id, CONNECTED)
    await home.lasts(minutes=0.5)
    back = time.process_time() - began - states - told
    assert len(home.messages()) == 1
    record_property("seconds", f"{states:.2f}, {told:.2f}, {back:.2f}")
    assert told < 20


# -- whatever fails, something arrives -------------------------------------------------

PATHS: dict[str, Any] = {
    "lost": ["persistent_notification.create", "metaapi.notify"],
    "back": ["persistent_notification.dismiss", "metaapi.notify"],
    "reconnect_due": [
        "persistent_notification.create",
        "metaapi.notify",
        "metaapi.reconnect",
    ],
    "reconnect_failed": ["persistent_notification.create", "metaapi.notify"],
}


@pytest.mark.parametrize("how", ["no such action", "error", "crash", "timeout"])
@pytest.mark.parametrize(
    ("path", "action"),
    [
        (path, action)
        for path, actions in PATHS.items()
        for action in [*actions, "also.do"]
    ],
)
async def test_something_always_arrives(
    hass: HomeAssistant, home: Home, path: str, action: str, how: str
) -> None:
    """Each action of each path may fail in each way: something arrives, and a reconnect is made."""
    also: list[dict[str, Any]] = [{"action": "also.do"}, ALSO_DO]
    if action != "also.do":
        also = [ALSO_DO]
    hanging: list[asyncio.Event] = []
    await home.automate("swing", notifiers=[PAGER], actions=also)
    if path == "back":
        await home.show("swing", DISCONNECTED)
        await home.lasts(minutes=2)
    elif path.startswith("reconnect"):
        await home.show("swing", DISCONNECTED)
        await home.lasts(minutes=4.5)
    home.messages()
    home.phases()
    shown = home.shown()

    async def fail(call: ServiceCall) -> None:
        if how == "error":
            raise HomeAssistantError("broken")
        if how == "crash":
            raise ValueError("broken")
        hanging.append(asyncio.Event())
        await hanging[-1].wait()

    domain, service = action.split(".")
    if how == "no such action":
        hass.services.async_remove(domain, service)
    else:
        hass.services.async_register(
            domain, service, fail, supports_response=SupportsResponse.OPTIONAL
        )

    async def go() -> None:
        if path == "lost":
            await home.show("swing", DISCONNECTED)
            await home.lasts(minutes=1)
        elif path == "back":
            await home.show("swing", CONNECTED)
        else:
            await home.lasts(minutes=1)

    going = hass.async_create_background_task(go(), "goes on")
    for _ in range(2000):
        await asyncio.sleep(0)
        if going.done() or hanging:
            break
    for _ in range(2000):
        await asyncio.sleep(0)
    arrived = home.messages()
    assert arrived or home.shown() != shown
    if action not in ("also.do", "metaapi.notify"):
        assert arrived
    if action != "also.do":
        assert path in home.phases()
    if path == "reconnect_due" and action != "metaapi.reconnect":
        assert home.reconnects() == ["swing"]
    for event in hanging:
        event.set()
    await going
    for event in hanging:
        event.set()
    await hass.async_block_till_done()


# -- restarts --------------------------------------------------------------------------


@pytest.mark.parametrize("end", [DISCONNECTED, CONNECTED])
async def test_restart_amid_an_outage(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    freezer: FrozenDateTimeFactory,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    end: AccountState,
) -> None:
    """After a restart an outage is told and repaired as before it; one that ended meanwhile is told as over."""
    await hass.config.async_set_time_zone("Europe/Berlin")
    freezer.move_to(WEDNESDAY + timedelta(minutes=12))
    hass_storage[STORAGE_KEY] = stored(
        terminal={"last": False, "since": WEDNESDAY.isoformat(), "ended": None},
        attempts=1,
        attempted_at=(WEDNESDAY + timedelta(minutes=5)).isoformat(),
    )
    await setup_entry(hass, mock_config_entry)
    home = Home(hass, freezer, monitors, await add_pager(hass))
    home.reconnects_fail()
    await home.automate("swing", notifiers=[PAGER])
    await home.show("swing", end)
    await home.lasts(minutes=1)
    if end is CONNECTED:
        assert home.messages() == [
            "Swing is back: It was down for 12 min, from 03:12. Attempts to reconnect: 1."
        ]
        return
    assert home.messages() == [f"Swing is down: {DOWN} Reconnecting at 03:27."]
    assert home.reconnects() == []
    await home.lasts(minutes=2)
    assert home.reconnects() == ["swing"]


def test_inputs() -> None:
    """Everything but the accounts has a default, and every input its selector."""
    inputs: dict[str, Any] = {}
    for key, one in blueprint()["blueprint"]["input"].items():
        inputs |= one.get("input", {key: one})
    assert {key for key, one in inputs.items() if "default" not in one} == {"accounts"}
    assert all("selector" in one and "name" in one for one in inputs.values())
    assert inputs["reconnect"]["default"] is True
    assert inputs["broker"]["default"] is True
