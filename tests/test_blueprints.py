"""The blueprints, made into automations of a home with the integration's own entities."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.test_util.aiohttp import AiohttpClientMocker

from custom_components.metaapi.api import AccountState, Outcome, ReconnectResult, Status
from custom_components.metaapi.const import DOMAIN
from homeassistant.components import automation
from homeassistant.components.blueprint.importer import fetch_blueprint_from_url
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er

from .blueprint_support import (
    ALSO_DO,
    BLUEPRINTS,
    PAGER,
    WEDNESDAY,
    Home,
    add_pager,
    add_phone,
    settle,
)
from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SWING,
    FakeMonitor,
)
from .test_trigger import (
    BROKER,
    BROKER_AWAY,
    LINK,
    RECONNECT_FAILED,
    RECONNECTING,
    SWING_TERMINAL,
    register,
    remember,
)

NOT_DEPLOYED = AccountState(terminal=False, status=Status.NOT_DEPLOYED)
TOKEN_REFUSED = AccountState(available=False, status=Status.TOKEN_REFUSED)

FRIDAY = datetime(2026, 11, 20, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, tzinfo=UTC)

GAVE_UP = (
    "Swing is still disconnected after 35 min; 3 attempts to reconnect it did not help"
    " (Terminal disconnected)."
)
QUIET = "input_boolean.holidays"


@pytest.fixture(autouse=True)
def config_folder(hass: HomeAssistant, tmp_path: Path) -> None:
    """Keep blueprints in a folder of the test's own."""
    hass.config.config_dir = str(tmp_path)


@asynccontextmanager
async def open_home(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monitor: FakeMonitor,
    blueprint: str,
) -> AsyncIterator[Home]:
    """Make a home in which no reconnect brings a terminal back."""
    freezer.move_to(WEDNESDAY)
    home = Home(hass, freezer, monitor, await add_pager(hass), blueprint)
    home.reconnects_fail()
    yield home
    await home.close()


@pytest.fixture(params=["keep_connected", "tell_me"])
async def either(
    request: pytest.FixtureRequest,
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monitor: FakeMonitor,
) -> AsyncIterator[Home]:
    """Make a home with one of the blueprints."""
    async with open_home(hass, freezer, monitor, request.param) as home:
        yield home


@pytest.fixture
async def keep(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monitor: FakeMonitor
) -> AsyncIterator[Home]:
    """Make a home that keeps terminals connected."""
    async with open_home(hass, freezer, monitor, "keep_connected") as home:
        yield home


@pytest.fixture
async def tell(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monitor: FakeMonitor
) -> AsyncIterator[Home]:
    """Make a home that tells of terminals."""
    async with open_home(hass, freezer, monitor, "tell_me") as home:
        yield home


def hour(day: datetime, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """Return a moment of a day."""
    return day.replace(hour=hour, minute=minute, second=second)


# -- both ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["keep_connected", "tell_me"])
async def test_import(
    hass: HomeAssistant, aioclient_mock: AiohttpClientMocker, name: str
) -> None:
    """Home Assistant takes a blueprint from its link, which is the one that it names itself."""
    path = f"blueprints/automation/{DOMAIN}/{name}.yaml"
    text = (BLUEPRINTS / f"{name}.yaml").read_text(encoding="utf-8")
    aioclient_mock.get(
        f"https://raw.githubusercontent.com/ha-metaapi/ha-metaapi/main/{path}",
        text=text,
    )
    url = f"https://github.com/ha-metaapi/ha-metaapi/blob/main/{path}"
    imported = await fetch_blueprint_from_url(hass, url)
    assert imported.suggested_filename == f"ha-metaapi/{name}"
    assert imported.blueprint.domain == automation.DOMAIN
    assert imported.blueprint.metadata["source_url"] == url
    assert imported.blueprint.metadata["homeassistant"] == {"min_version": "2026.9.0"}
    assert imported.blueprint.validate() is None


async def test_run_by_hand(
    hass: HomeAssistant, either: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """Run by hand, an automation has nothing to do, and no error."""
    await either.automate("swing", actions=[ALSO_DO])
    await either.show("swing", DISCONNECTED)
    await hass.services.async_call(
        automation.DOMAIN, "trigger", {"entity_id": "automation.one"}, blocking=True
    )
    await settle(hass)
    assert either.events() == []
    assert either.reconnects() == []
    assert "Error" not in caplog.text


# -- keep my terminal connected --------------------------------------------------------


async def test_keep_gives_up(keep: Home) -> None:
    """Three attempts after 5, 10 and 20 minutes, then one message; one more when it is back."""
    await keep.automate("swing", notify=[PAGER])
    await keep.show("swing", DISCONNECTED)
    for minutes in (5, 10, 20):
        await keep.lasts(minutes=minutes - 1)
        assert keep.reconnects() == []
        assert keep.messages() == []
        await keep.lasts(minutes=1)
        assert keep.reconnects() == ["swing"]
    assert keep.messages() == [GAVE_UP]
    await keep.lasts(hours=2)
    assert keep.reconnects() == []
    assert keep.messages() == []
    await keep.show("swing", CONNECTED)
    assert keep.messages() == [
        "Swing is connected again. It was disconnected for 2 h 35 min."
    ]


async def test_keep_succeeds(keep: Home) -> None:
    """An attempt that works is the last one, and told; the next outage has attempts of its own."""
    await keep.automate("swing", notify=[PAGER])
    keep.reconnects_work()
    for _ in range(2):
        await keep.show("swing", DISCONNECTED)
        await keep.lasts(minutes=5)
        assert keep.reconnects() == ["swing"]
        assert keep.messages() == [
            "Swing is connected again. It was disconnected for 5 min."
        ]
        await keep.lasts(minutes=60)
        assert keep.reconnects() == []
        assert keep.messages() == []


async def test_keep_back_by_itself(keep: Home) -> None:
    """A terminal that comes back before an attempt is no news."""
    await keep.automate("swing", notify=[PAGER])
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=4)
    await keep.show("swing", CONNECTED)
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []
    assert keep.messages() == []


async def test_keep_back_between_attempts(keep: Home) -> None:
    """A terminal that comes back between attempts is told of, and left alone."""
    await keep.automate("swing", notify=[PAGER])
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=5)
    assert keep.reconnects() == ["swing"]
    await keep.show("swing", RECONNECT_FAILED)
    await keep.lasts(minutes=3)
    await keep.show("swing", CONNECTED)
    assert keep.messages() == [
        "Swing is connected again. It was disconnected for 8 min."
    ]
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []


async def test_keep_durations(keep: Home) -> None:
    """The three pauses are inputs."""
    await keep.automate(
        "swing",
        notify=[PAGER],
        first_attempt={"seconds": 10},
        second_attempt={"seconds": 20},
        third_attempt={"seconds": 15},
    )
    await keep.show("swing", DISCONNECTED)
    for seconds in (10, 20, 15):
        await keep.lasts(minutes=(seconds - 1) / 60)
        assert keep.reconnects() == []
        await keep.lasts(minutes=1 / 60)
        assert keep.reconnects() == ["swing"]
    assert len(keep.messages()) == 1
    await keep.show("swing", CONNECTED)
    assert keep.messages() == [
        "Swing is connected again. It was disconnected for 45 s."
    ]


@pytest.mark.parametrize("hidden", [NO_CONNECTION, AccountState(), TOKEN_REFUSED])
async def test_keep_out_of_sight(keep: Home, hidden: AccountState) -> None:
    """Out of sight nothing is reconnected; what is still off when it is seen again is."""
    await keep.automate("swing", notify=[PAGER])
    await keep.show("swing", hidden)
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=5)
    assert keep.reconnects() == ["swing"]
    await keep.show("swing", hidden)
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []
    await keep.show("swing", DISCONNECTED)
    assert keep.reconnects() == ["swing"]
    await keep.show("swing", hidden)
    await keep.lasts(minutes=60)
    assert keep.messages() == []
    await keep.show("swing", CONNECTED)
    assert keep.reconnects() == []
    assert keep.messages() == [
        "Swing is connected again. It was disconnected for 2 h 5 min."
    ]


async def test_keep_not_deployed(keep: Home) -> None:
    """An account that is not deployed is left alone until it is deployed."""
    await keep.automate("swing", notify=[PAGER])
    await keep.show("swing", NOT_DEPLOYED)
    await keep.lasts(minutes=60)
    await keep.show("swing", CONNECTED)
    assert keep.messages() == []
    await keep.show("swing", NOT_DEPLOYED)
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []
    await keep.show("swing", DISCONNECTED)
    assert keep.reconnects() == ["swing"]
    await keep.show("swing", NOT_DEPLOYED)
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []
    assert keep.messages() == []


async def test_keep_in_other_languages(hass: HomeAssistant, keep: Home) -> None:
    """Entities are found by what they are, whatever they are called and whatever else the device has."""
    registry = er.async_get(hass)
    other = MockConfigEntry(domain="other")
    other.add_to_hass(hass)
    registry.async_get_or_create(
        "sensor",
        "other",
        "1",
        suggested_object_id="aaa",
        config_entry=other,
        device_id=keep.device("swing"),
    )
    hass.states.async_set("sensor.aaa", "not_deployed")
    for old, new in (
        ("sensor.swing_status", "sensor.schaukel_zustand"),
        ("binary_sensor.swing_terminal", "binary_sensor.schaukel_endstelle"),
        ("binary_sensor.swing_broker", "binary_sensor.a"),
        ("button.swing_reconnect", "button.schaukel_neu"),
    ):
        registry.async_update_entity(old, new_entity_id=new)
    await hass.async_block_till_done()
    await keep.automate("swing")
    await keep.show("swing", NOT_DEPLOYED)
    await keep.lasts(minutes=10)
    assert keep.reconnects() == []
    await keep.show("swing", DISCONNECTED)
    assert keep.reconnects() == ["swing"]


@pytest.mark.parametrize(
    ("moment", "waits_until"),
    [
        (hour(FRIDAY, 21, 54, 59), None),
        (hour(FRIDAY, 21, 55), hour(SUNDAY, 21)),
        (hour(SUNDAY, 20, 54, 59), hour(SUNDAY, 21)),
        (hour(SUNDAY, 20, 55), None),
    ],
)
async def test_keep_weekend(
    keep: Home, moment: datetime, waits_until: datetime | None
) -> None:
    """From Friday 22:00 to Sunday 21:00 UTC nothing is reconnected; afterwards it is."""
    await keep.until(moment)
    await keep.automate("swing", notify=[PAGER])
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=5)
    if waits_until:
        assert keep.reconnects() == []
        await keep.until(waits_until.replace(hour=20, minute=59, second=59))
        assert keep.reconnects() == []
        await keep.until(waits_until)
    assert keep.reconnects() == ["swing"]
    assert keep.messages() == []


async def test_keep_back_at_the_weekend(keep: Home) -> None:
    """What is back at the weekend is not told."""
    await keep.until(hour(FRIDAY, 21, 50))
    await keep.automate("swing", notify=[PAGER])
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=15)
    assert keep.reconnects() == ["swing"]
    await keep.show("swing", CONNECTED)
    await keep.until(hour(SUNDAY, 22))
    assert keep.messages() == []


async def test_keep_without_weekend(keep: Home) -> None:
    """Where markets do not close, no day is quiet."""
    await keep.until(hour(SUNDAY, 3))
    await keep.automate("swing", weekend=False)
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=5)
    assert keep.reconnects() == ["swing"]


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        (hour(WEDNESDAY, 23, 25), True),
        (hour(WEDNESDAY, 23, 24), False),
        (hour(FRIDAY, 1, 9), True),
        (hour(FRIDAY, 1, 10), False),
    ],
)
async def test_keep_other_weekend(keep: Home, moment: datetime, quiet: bool) -> None:
    """The weekend is an input: any two moments of a week, over midnight of any day."""
    await keep.until(moment)
    await keep.automate(
        "swing",
        weekend_start_day="2",
        weekend_start_time="23:30:00",
        weekend_end_day="4",
        weekend_end_time="01:15:00",
    )
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=5)
    assert keep.reconnects() == ([] if quiet else ["swing"])


async def test_keep_quiet_entity(hass: HomeAssistant, keep: Home) -> None:
    """While one of some entities is on, nothing is reconnected or told."""
    hass.states.async_set(QUIET, "on")
    hass.states.async_set("calendar.other", "off")
    await keep.automate(
        "swing", notify=[PAGER], quiet_entities=["calendar.other", QUIET]
    )
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []
    hass.states.async_set(QUIET, "off")
    await settle(hass)
    assert keep.reconnects() == ["swing"]

    # It gives up when it is not quiet any more
    await keep.lasts(minutes=15)
    assert keep.reconnects() == ["swing"]
    await keep.lasts(minutes=10)
    hass.states.async_set("calendar.other", "on")
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []
    assert keep.messages() == []
    hass.states.async_set("calendar.other", "off")
    await settle(hass)
    assert keep.reconnects() == ["swing"]
    assert len(keep.messages()) == 1

    # What is back while it is quiet is not told
    hass.states.async_set(QUIET, "on")
    await keep.show("swing", CONNECTED)
    assert keep.messages() == []
    hass.states.async_set(QUIET, "off")
    await keep.lasts(minutes=5)
    assert keep.messages() == []


async def test_keep_two_accounts(keep: Home) -> None:
    """Two accounts that drop at once are reconnected at once, each for itself and each but once."""
    await keep.automate("swing", "scalp", notify=[PAGER])
    answers: dict[str, asyncio.Future[None]] = {}
    ask = keep.monitor.reconnect

    async def reconnect(account_id: str, timeout: float = 60.0) -> ReconnectResult:
        result = await ask(account_id, timeout)
        if account_id == SWING.account_id:
            answers[account_id] = keep.hass.loop.create_future()
            await answers[account_id]
        return result

    with patch.object(keep.monitor, "reconnect", reconnect):
        await keep.show("swing", DISCONNECTED)
        await keep.show("scalp", DISCONNECTED)
        await keep.lasts(minutes=5)
        assert sorted(keep.reconnects()) == ["scalp", "swing"]
        # One that takes its time holds nobody up
        await keep.lasts(minutes=10)
        assert keep.reconnects() == ["scalp"]
        answers[SWING.account_id].set_result(None)
        await settle(keep.hass)
        await keep.lasts(minutes=10)
    assert keep.reconnects() == ["swing"]
    await keep.show("scalp", CONNECTED)
    assert keep.messages() == [
        "Scalp is connected again. It was disconnected for 25 min."
    ]
    answers[SWING.account_id].cancel()


async def test_keep_only_what_was_chosen(keep: Home) -> None:
    """An account that was not chosen is left alone."""
    await keep.automate("swing")
    await keep.show("scalp", DISCONNECTED)
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []


async def test_keep_reconnect_by_hand(keep: Home) -> None:
    """A reconnect by hand that works is no outage."""
    await keep.automate("swing", first_attempt={"seconds": 5}, notify=[PAGER])
    await keep.show("swing", RECONNECTING)
    await keep.lasts(minutes=1)
    await keep.show("swing", CONNECTED)
    await keep.lasts(minutes=5)
    assert keep.reconnects() == []
    assert keep.messages() == []


async def test_keep_reload_of_the_entry(
    keep: Home, mock_config_entry: MockConfigEntry, monitors: list[FakeMonitor]
) -> None:
    """A reload amid an outage changes nothing: the outage goes on, with its attempts counted."""
    await keep.automate("swing", notify=[PAGER])
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=6)
    assert keep.reconnects() == ["swing"]
    await keep.hass.config_entries.async_unload(mock_config_entry.entry_id)
    await keep.hass.config_entries.async_setup(mock_config_entry.entry_id)
    keep.monitor = monitors[-1]
    keep.reconnects_fail()
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=9)
    assert keep.reconnects() == ["swing"]
    await keep.lasts(minutes=20)
    assert keep.reconnects() == ["swing"]
    assert keep.messages() == [GAVE_UP]
    await keep.lasts(minutes=60)
    assert keep.reconnects() == []
    assert keep.messages() == []


async def test_status_disabled(
    either: Home, mock_config_entry: MockConfigEntry, monitors: list[FakeMonitor]
) -> None:
    """Without the sensor that says why, a message does not say why."""
    er.async_get(either.hass).async_update_entity(
        "sensor.swing_status", disabled_by=er.RegistryEntryDisabler.USER
    )
    await either.hass.config_entries.async_unload(mock_config_entry.entry_id)
    await either.hass.config_entries.async_setup(mock_config_entry.entry_id)
    either.monitor = monitors[-1]
    either.reconnects_fail()
    await either.automate("swing", actions=[ALSO_DO])
    await either.show("swing", CONNECTED)
    await either.show("swing", DISCONNECTED)
    await either.lasts(minutes=35)
    assert either.did[0].data["message"] in {
        "Swing is disconnected.",
        GAVE_UP.replace(" (Terminal disconnected)", ""),
    }


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NO_CONNECTION])
async def test_keep_goes_on_after_a_refusal(keep: Home, outcome: Outcome) -> None:
    """Whatever is the matter with an attempt, the next one follows."""
    await keep.automate("swing")
    keep.reconnects_fail(outcome)
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=35)
    assert keep.reconnects() == ["swing"] * 3


async def test_keep_also_does(keep: Home) -> None:
    """A person's own actions get the message, what it is about, and the account."""
    await keep.automate("swing", actions=[ALSO_DO])
    await keep.show("swing", DISCONNECTED)
    await keep.lasts(minutes=35)
    await keep.show("swing", CONNECTED)
    device = keep.device("swing")
    assert [event.data for event in keep.did] == [
        {"event": "gave_up", "message": GAVE_UP, "account": "Swing", "device": device},
        {
            "event": "back",
            "message": "Swing is connected again. It was disconnected for 35 min.",
            "account": "Swing",
            "device": device,
        },
    ]


async def test_keep_messages_that_fail(keep: Home) -> None:
    """A message that cannot be sent keeps nobody from the rest."""
    refuse = [{"action": "homeassistant.nowhere"}]
    fail = [{"condition": "template", "value_template": "{{ false }}"}]
    with patch.object(keep.pager, "async_send_message", side_effect=HomeAssistantError):
        await keep.automate("swing", notify=[PAGER], actions=[ALSO_DO, *fail, *refuse])
        await keep.show("swing", DISCONNECTED)
        await keep.lasts(minutes=35)
        await keep.show("swing", CONNECTED)
    assert keep.events() == ["gave_up", "back"]


# -- tell me when my terminal drops ----------------------------------------------------


def out_of_sight(minutes: int, names: str) -> str:
    """Return the message about accounts that nobody sees."""
    return (
        f"Home Assistant has had no connection to MetaApi for {minutes} min,"
        f" so it cannot see {names}."
    )


async def test_tell(hass: HomeAssistant, tell: Home) -> None:
    """One message a minute after it dropped, with a button; one when it is back, in its place."""
    phone, messages = add_phone(hass, "Änne's Phone 12")
    await tell.automate("swing", phones=[phone])
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=59 / 60)
    assert messages == []
    await tell.lasts(minutes=1 / 60)
    (message,) = messages
    tag = f"metaapi_{tell.device('swing')}"
    assert message.data == {
        "message": "Swing is disconnected (Terminal disconnected).",
        "data": {
            "tag": tag,
            "actions": [
                {
                    "action": f"METAAPI_RECONNECT_{tell.device('swing')}",
                    "title": "Reconnect",
                }
            ],
        },
    }
    await tell.lasts(hours=3)
    assert len(messages) == 1
    await tell.show("swing", CONNECTED)
    assert messages[1].data == {
        "message": "Swing is connected again. It was disconnected for 3 h 1 min.",
        "data": {"tag": tag, "actions": []},
    }
    await tell.lasts(hours=3)
    assert len(messages) == 2
    assert tell.reconnects() == []


async def test_tell_short_outage(tell: Home) -> None:
    """What is back within the minute is no news."""
    await tell.automate("swing", actions=[ALSO_DO])
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=59 / 60)
    await tell.show("swing", CONNECTED)
    await tell.lasts(minutes=60)
    assert tell.events() == []


async def test_tell_durations(tell: Home) -> None:
    """Both durations are inputs."""
    await tell.automate(
        "swing",
        actions=[ALSO_DO],
        disconnected_for={"seconds": 10},
        out_of_sight_for={"seconds": 20},
    )
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=9 / 60)
    assert tell.events() == []
    await tell.lasts(minutes=1 / 60)
    assert tell.events() == ["disconnected"]
    await tell.show("swing", NO_CONNECTION)
    await tell.lasts(minutes=19 / 60)
    assert tell.events() == []
    await tell.lasts(minutes=1 / 60)
    assert tell.events() == ["out_of_sight"]


async def test_tell_also_does(tell: Home) -> None:
    """A person's own actions get the message, what it is about, and the account."""
    await tell.automate("swing", actions=[ALSO_DO])
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=5)
    await tell.show("swing", CONNECTED)
    await tell.show("swing", NO_CONNECTION)
    await tell.lasts(minutes=15)
    await press(tell, "swing")
    device = tell.device("swing")
    assert [event.data for event in tell.did] == [
        {
            "event": "disconnected",
            "message": "Swing is disconnected (Terminal disconnected).",
            "account": "Swing",
            "device": device,
        },
        {
            "event": "back",
            "message": "Swing is connected again. It was disconnected for 5 min.",
            "account": "Swing",
            "device": device,
        },
        {
            "event": "out_of_sight",
            "message": out_of_sight(15, "Swing"),
            "account": "Swing",
            "device": "",
        },
        {
            "event": "reconnect_failed",
            "message": "Swing did not come back: the terminal did not answer in time.",
            "account": "Swing",
            "device": device,
        },
    ]


async def test_tell_messages_that_fail(hass: HomeAssistant, tell: Home) -> None:
    """A phone that cannot be reached keeps nobody from the rest."""
    broken, tried = add_phone(hass, "Broken", broken=True)
    phone, messages = add_phone(hass, "Fine")
    await tell.automate("swing", phones=[broken, phone], actions=[ALSO_DO])
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=1)
    await tell.show("swing", CONNECTED)
    assert len(tried) == len(messages) == 2
    assert tell.events() == ["disconnected", "back"]


async def test_tell_two_accounts(tell: Home) -> None:
    """Accounts that drop at once are told of each for itself."""
    await tell.automate("swing", "scalp", actions=[ALSO_DO])
    for account in ("swing", "scalp"):
        await tell.show(account, DISCONNECTED)
    await tell.lasts(minutes=1)
    assert sorted(event.data["account"] for event in tell.did) == ["Scalp", "Swing"]
    assert tell.events() == ["disconnected"] * 2
    await tell.show("scalp", CONNECTED)
    assert [event.data["account"] for event in tell.did] == ["Scalp"]
    assert tell.events() == ["back"]


async def test_tell_only_what_was_chosen(tell: Home) -> None:
    """An account that was not chosen is not told of."""
    await tell.automate("swing", actions=[ALSO_DO])
    await tell.show("scalp", DISCONNECTED)
    await tell.lasts(minutes=60)
    await tell.show("scalp", NO_CONNECTION)
    await tell.lasts(minutes=60)
    await press(tell, "scalp")
    assert tell.events() == []
    assert tell.reconnects() == []


# -- the button


async def press(home: Home, account: str) -> None:
    """Press the button of a message about an account."""
    home.hass.bus.async_fire(
        "mobile_app_notification_action",
        {"action": f"METAAPI_RECONNECT_{home.device(account)}"},
    )
    await settle(home.hass)


async def test_tell_button(tell: Home) -> None:
    """The button reconnects its account; that it is back is told as ever."""
    await tell.automate("swing", "scalp", actions=[ALSO_DO])
    await tell.show("scalp", DISCONNECTED)
    await tell.lasts(minutes=1)
    assert tell.events() == ["disconnected"]
    tell.reconnects_work()
    await press(tell, "scalp")
    assert tell.reconnects() == ["scalp"]
    assert tell.events() == ["back"]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.TIMED_OUT, "the terminal did not answer in time"),
        (Outcome.REFUSED, "MetaApi refused to reconnect it"),
        (Outcome.NOT_DEPLOYED, "it is not deployed"),
        (Outcome.NO_CONNECTION, "Home Assistant has no connection to MetaApi"),
        (Outcome.CONNECTION_LOST, "the connection to MetaApi was lost on the way"),
        (Outcome.TOKEN_REFUSED, "MetaApi refuses the token"),
    ],
)
async def test_tell_button_that_fails(
    hass: HomeAssistant, tell: Home, outcome: Outcome, reason: str
) -> None:
    """A reconnect that fails is answered with the reason, and the button again."""
    phone, messages = add_phone(hass, "Phone")
    await tell.automate("swing", phones=[phone])
    tell.reconnects_fail(outcome)
    await press(tell, "swing")
    assert messages[0].data["message"] == f"Swing did not come back: {reason}."
    assert messages[0].data["data"]["actions"][0]["title"] == "Reconnect"


async def test_tell_button_when_not_loaded(
    tell: Home, mock_config_entry: MockConfigEntry
) -> None:
    """A reconnect that cannot even be asked for is answered as well."""
    await tell.automate("swing", actions=[ALSO_DO])
    await tell.hass.config_entries.async_unload(mock_config_entry.entry_id)
    await press(tell, "swing")
    assert tell.did[0].data["message"] == (
        "Swing did not come back: Home Assistant has no connection to MetaApi."
    )


@pytest.mark.parametrize(
    "data", [{}, {"action": "METAAPI_RECONNECT_"}, {"action": "X"}]
)
async def test_tell_other_buttons(tell: Home, data: dict[str, str]) -> None:
    """Buttons of other messages do nothing."""
    await tell.automate("swing", actions=[ALSO_DO])
    tell.hass.bus.async_fire("mobile_app_notification_action", data)
    await settle(tell.hass)
    assert tell.reconnects() == []
    assert tell.events() == []


# -- out of sight


@pytest.mark.parametrize("hidden", [NO_CONNECTION, TOKEN_REFUSED])
async def test_tell_out_of_sight(
    hass: HomeAssistant, tell: Home, hidden: AccountState
) -> None:
    """One message for all accounts that were out of sight for 15 minutes, and never that they dropped."""
    phone, messages = add_phone(hass, "Phone")
    await tell.automate("swing", "scalp", phones=[phone])
    for _ in range(2):
        for account in ("swing", "scalp"):
            await tell.show(account, hidden)
        await tell.lasts(minutes=14)
        assert messages == []
        await tell.lasts(minutes=1)
        (message,) = messages
        assert message.data == {
            "message": out_of_sight(15, "Swing, Scalp"),
            "data": {"tag": "metaapi_out_of_sight", "actions": []},
        }
        await tell.lasts(hours=2)
        for account in ("swing", "scalp"):
            await tell.show(account, CONNECTED)
        await tell.lasts(hours=2)
        assert len(messages) == 1
        messages.clear()


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (Status.FORBIDDEN, "Not permitted"),
        (Status.NOT_FOUND, "Not found"),
        (Status.QUOTA_EXHAUSTED, "Quota exhausted"),
    ],
)
async def test_tell_refused(tell: Home, status: Status, shown: str) -> None:
    """An account that MetaApi does not show is out of sight as well, and the message says why."""
    await tell.automate("swing", "scalp", actions=[ALSO_DO])
    await tell.show("scalp", AccountState(available=False, status=status))
    await tell.lasts(minutes=15)
    (event,) = tell.did
    assert event.data["message"] == (
        f"MetaApi has not shown Scalp to Home Assistant for 15 min: {shown}."
    )
    await tell.show("scalp", CONNECTED)
    await tell.lasts(hours=2)
    assert tell.events() == ["out_of_sight"]


async def test_tell_briefly_out_of_sight(tell: Home) -> None:
    """What is seen again within the 15 minutes is no news."""
    await tell.automate("swing", actions=[ALSO_DO])
    for _ in range(3):
        await tell.show("swing", NO_CONNECTION)
        await tell.lasts(minutes=14)
        await tell.show("swing", CONNECTED)
        await tell.lasts(minutes=2)
    assert tell.events() == []


async def test_tell_not_loaded(tell: Home, mock_config_entry: MockConfigEntry) -> None:
    """An entry that is not loaded is out of sight as well, whatever its entities are called."""
    er.async_get(tell.hass).async_update_entity(
        "sensor.swing_status", new_entity_id="sensor.schaukel_zustand"
    )
    await tell.hass.async_block_till_done()
    await tell.automate("swing", actions=[ALSO_DO])
    await tell.hass.config_entries.async_unload(mock_config_entry.entry_id)
    await tell.lasts(minutes=15)
    assert [event.data["message"] for event in tell.did] == [out_of_sight(15, "Swing")]


async def test_tell_other_sensors_of_the_device(
    hass: HomeAssistant, tell: Home
) -> None:
    """A sensor that somebody else adds to the device is nobody's concern."""
    other = MockConfigEntry(domain="other")
    other.add_to_hass(hass)
    er.async_get(hass).async_get_or_create(
        "sensor",
        "other",
        "1",
        suggested_object_id="aaa",
        config_entry=other,
        device_id=tell.device("swing"),
    )
    hass.states.async_set("sensor.aaa", "on")
    await tell.automate("swing", actions=[ALSO_DO])
    hass.states.async_set("sensor.aaa", "unavailable")
    await tell.lasts(minutes=20)
    assert tell.events() == []

    # Not even while there is something to tell
    await tell.show("swing", NO_CONNECTION)
    await tell.lasts(minutes=14)
    await tell.show("swing", CONNECTED)
    await tell.lasts(minutes=20)
    assert tell.events() == []
    await tell.show("swing", NO_CONNECTION)
    await tell.lasts(minutes=15)
    assert tell.did[0].data["message"] == out_of_sight(15, "Swing")
    assert tell.events() == ["out_of_sight"]
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=1)
    assert tell.did[0].data["message"] == (
        "Swing is disconnected (Terminal disconnected)."
    )


async def test_tell_dropped_out_of_sight(tell: Home) -> None:
    """What dropped while out of sight is told once it is seen."""
    await tell.automate("swing", actions=[ALSO_DO])
    await tell.show("swing", NO_CONNECTION)
    await tell.lasts(minutes=10)
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=1)
    assert tell.events() == ["disconnected"]
    await tell.show("swing", NO_CONNECTION)
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=20)
    assert tell.events() == []


# -- the broker


async def test_tell_broker(hass: HomeAssistant, tell: Home) -> None:
    """Chosen, a broker that is lost is told after 5 minutes, and once more when it is back."""
    phone, messages = add_phone(hass, "Phone")
    await tell.automate("swing", phones=[phone], brokers=[BROKER])
    for _ in range(2):
        await tell.show("swing", BROKER_AWAY)
        await tell.lasts(minutes=4)
        assert messages == []
        await tell.lasts(minutes=1)
        data = {"tag": f"metaapi_{tell.device('swing')}_broker", "actions": []}
        (message,) = messages
        assert message.data == {
            "message": "Swing has lost its broker. The terminal itself is connected.",
            "data": data,
        }
        await tell.lasts(hours=2)
        assert len(messages) == 1
        await tell.show("swing", CONNECTED)
        assert messages[1].data == {
            "message": "Swing has its broker again. It was without for 2 h 5 min.",
            "data": data,
        }
        await tell.lasts(hours=2)
        assert len(messages) == 2
        messages.clear()


async def test_tell_broker_is_off_by_default(tell: Home) -> None:
    """Unless a sensor of theirs was chosen, brokers are no news."""
    await tell.automate("swing", actions=[ALSO_DO])
    await tell.show("swing", BROKER_AWAY)
    await tell.lasts(hours=2)
    await tell.show("swing", CONNECTED)
    await tell.lasts(hours=2)
    assert tell.events() == []


async def test_tell_broker_for(tell: Home) -> None:
    """How long it must be lost is an input; what is back before is no news."""
    await tell.automate(
        "swing", actions=[ALSO_DO], brokers=[BROKER], broker_lost_for={"seconds": 10}
    )
    await tell.show("swing", BROKER_AWAY)
    await tell.lasts(minutes=9 / 60)
    await tell.show("swing", CONNECTED)
    await tell.lasts(hours=2)
    assert tell.events() == []
    await tell.show("swing", BROKER_AWAY)
    await tell.lasts(minutes=10 / 60)
    assert tell.events() == ["broker_lost"]


async def test_tell_broker_of_an_account_that_was_not_chosen(tell: Home) -> None:
    """The sensors that are chosen decide, not the accounts."""
    await tell.automate(
        "swing", actions=[ALSO_DO], brokers=["binary_sensor.scalp_broker"]
    )
    for account in ("swing", "scalp"):
        await tell.show(account, BROKER_AWAY)
    await tell.lasts(minutes=5)
    assert [event.data for event in tell.did] == [
        {
            "event": "broker_lost",
            "message": "Scalp has lost its broker. The terminal itself is connected.",
            "account": "Scalp",
            "device": tell.device("scalp"),
        }
    ]


async def test_tell_broker_and_terminal(tell: Home) -> None:
    """A terminal that drops meanwhile is told as that; the broker that is still lost is not told again."""
    await tell.automate("swing", actions=[ALSO_DO], brokers=[BROKER])
    await tell.show("swing", BROKER_AWAY)
    await tell.lasts(minutes=5)
    assert tell.events() == ["broker_lost"]
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=10)
    assert tell.events() == ["disconnected"]
    await tell.show("swing", BROKER_AWAY)
    await tell.lasts(minutes=10)
    assert tell.events() == ["back"]
    await tell.show("swing", CONNECTED)
    assert tell.did[0].data["message"] == (
        "Swing has its broker again. It was without for 25 min."
    )
    assert tell.events() == ["broker_back"]


async def test_tell_broker_while_quiet(hass: HomeAssistant, tell: Home) -> None:
    """While it is quiet brokers are not told; afterwards those are that are lost while the terminal is up."""
    await tell.automate(
        "swing", actions=[ALSO_DO], brokers=[BROKER], quiet_entities=[QUIET]
    )
    hass.states.async_set(QUIET, "on")
    await tell.show("swing", BROKER_AWAY)
    await tell.lasts(minutes=10)
    await tell.show("swing", DISCONNECTED)
    hass.states.async_set(QUIET, "off")
    await tell.lasts(minutes=1)
    assert tell.events() == ["disconnected"]
    await tell.show("swing", BROKER_AWAY)
    assert sorted(tell.events()) == ["back", "broker_lost"]

    # What is back while it is quiet is not told, whether or not it was told before
    for _ in range(2):
        hass.states.async_set(QUIET, "on")
        await tell.show("swing", CONNECTED)
        await tell.show("swing", BROKER_AWAY)
        await tell.lasts(minutes=10)
    await tell.show("swing", CONNECTED)
    hass.states.async_set(QUIET, "off")
    await tell.lasts(minutes=10)
    assert tell.events() == []


async def test_tell_broker_that_is_none(tell: Home) -> None:
    """Other sensors of ours that were chosen by mistake are not told as brokers."""
    await tell.automate("swing", actions=[ALSO_DO], brokers=[SWING_TERMINAL, LINK])
    await tell.show("swing", DISCONNECTED)
    tell.monitor.push_link(False)
    await tell.lasts(minutes=10)
    await tell.show("swing", CONNECTED)
    tell.monitor.push_link(True)
    await tell.lasts(minutes=10)
    assert tell.events() == ["disconnected", "back"]


# -- quiet


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        (hour(FRIDAY, 21, 58, 59), False),
        (hour(FRIDAY, 21, 59), True),
        (hour(SUNDAY, 20, 58, 59), True),
        (hour(SUNDAY, 20, 59), False),
    ],
)
async def test_tell_weekend(tell: Home, moment: datetime, quiet: bool) -> None:
    """At the weekend nothing is told; what is still disconnected afterwards is."""
    await tell.until(moment)
    await tell.automate("swing", actions=[ALSO_DO])
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=1)
    assert tell.events() == ([] if quiet else ["disconnected"])
    await tell.until(hour(SUNDAY, 21))
    assert tell.events() == (["disconnected"] if quiet else [])


async def test_tell_over_at_the_weekend(tell: Home) -> None:
    """An outage of a weekend is not told when it is over by then."""
    await tell.until(hour(SUNDAY, 3))
    await tell.automate("swing", actions=[ALSO_DO])
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=60)
    await tell.show("swing", CONNECTED)
    await tell.until(hour(SUNDAY, 22))
    assert tell.events() == []


async def test_tell_without_weekend(tell: Home) -> None:
    """Where markets do not close, no day is quiet."""
    await tell.until(hour(SUNDAY, 3))
    await tell.automate("swing", actions=[ALSO_DO], weekend=False)
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=1)
    await tell.show("swing", CONNECTED)
    assert tell.events() == ["disconnected", "back"]


async def test_tell_quiet_entity(hass: HomeAssistant, tell: Home) -> None:
    """While an entity is on, nothing is told; what is so afterwards is."""
    hass.states.async_set(QUIET, "on")
    await tell.automate("swing", actions=[ALSO_DO], quiet_entities=[QUIET])
    await tell.show("swing", DISCONNECTED)
    await tell.lasts(minutes=30)
    assert tell.events() == []
    hass.states.async_set(QUIET, "off")
    await settle(hass)
    assert tell.events() == ["disconnected"]

    hass.states.async_set(QUIET, "on")
    await tell.show("swing", CONNECTED)
    await tell.show("swing", NO_CONNECTION)
    await tell.lasts(minutes=30)
    assert tell.events() == []
    hass.states.async_set(QUIET, "off")
    await settle(hass)
    assert tell.did[0].data["message"] == out_of_sight(30, "Swing")
    assert tell.events() == ["out_of_sight"]

    hass.states.async_set(QUIET, "on")
    await tell.show("swing", CONNECTED)
    await tell.show("swing", NO_CONNECTION)
    await tell.lasts(minutes=30)
    await tell.show("swing", CONNECTED)
    hass.states.async_set(QUIET, "off")
    await settle(hass)
    assert tell.events() == []


# -- restarts --------------------------------------------------------------------------

type Start = Callable[..., Awaitable[Home]]


@pytest.fixture
async def start(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    freezer: FrozenDateTimeFactory,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> AsyncIterator[Start]:
    """Start a Home Assistant that knew an account before, with an automation from a blueprint."""
    freezer.move_to(WEDNESDAY)
    homes: list[Home] = []

    async def start_home(
        blueprint: str, known: bool, link: AccountState | None, **inputs: Any
    ) -> Home:
        remember(hass_storage, swing=known)
        register(hass, mock_config_entry)
        hass.set_state(CoreState.not_running)
        pager = await add_pager(hass)
        assert await hass.config_entries.async_setup(mock_config_entry.entry_id)
        await hass.async_block_till_done()
        home = Home(hass, freezer, monitors[-1], pager, blueprint)
        homes.append(home)
        home.reconnects_fail()
        await home.automate("swing", **inputs)
        if link is not None:
            await home.show("swing", link)
        else:
            await hass.config_entries.async_unload(mock_config_entry.entry_id)
        await hass.async_start()
        await settle(hass)
        return home

    yield start_home
    for home in homes:
        await home.close()


@pytest.mark.parametrize("seen_late", [True, False])
@pytest.mark.parametrize("known", [True, False])
async def test_keep_start(start: Start, known: bool, seen_late: bool) -> None:
    """An account that is off at a start is looked after, once, whenever the outage began."""
    home = await start(
        "keep_connected",
        known,
        AccountState() if seen_late else DISCONNECTED,
        notify=[PAGER],
    )
    await home.show("swing", DISCONNECTED)
    for minutes in (5, 10, 20):
        await home.lasts(minutes=minutes - 1)
        assert home.reconnects() == []
        await home.lasts(minutes=1)
        assert home.reconnects() == ["swing"]
    await home.show("swing", CONNECTED)
    assert home.messages() == [
        GAVE_UP.replace("after 35", "after at least 35"),
        "Swing is connected again. It was disconnected for at least 35 min.",
    ]


@pytest.mark.parametrize("known", [True, False])
async def test_keep_connected_at_the_start(start: Start, known: bool) -> None:
    """An account that is well at a start is left alone."""
    home = await start("keep_connected", known, CONNECTED, notify=[PAGER])
    await home.lasts(minutes=60)
    assert home.reconnects() == []
    assert home.messages() == []


@pytest.mark.parametrize(
    ("known", "expected"), [(True, ["disconnected", "back"]), (False, ["back"])]
)
async def test_tell_start(start: Start, known: bool, expected: list[str]) -> None:
    """An outage is told once, before a restart or after it; its end is told after it as well."""
    home = await start("tell_me", known, DISCONNECTED, actions=[ALSO_DO])
    await home.lasts(minutes=10)
    await home.show("swing", CONNECTED)
    assert home.did[-1].data["message"] == (
        "Swing is connected again. It was disconnected for at least 10 min."
    )
    assert home.events() == expected


async def test_tell_broker_lost_before_the_start(start: Start) -> None:
    """A broker that was lost before a restart is told when it is back."""
    home = await start(
        "tell_me", True, BROKER_AWAY, actions=[ALSO_DO], brokers=[BROKER]
    )
    await home.lasts(minutes=10)
    assert home.events() == []
    await home.show("swing", CONNECTED)
    assert [event.data["message"] for event in home.did] == [
        "Swing has its broker again. It was without for at least 10 min."
    ]


async def test_tell_out_of_sight_from_the_start(start: Start) -> None:
    """What nobody sees from the start is told like what gets out of sight later."""
    home = await start("tell_me", True, None, actions=[ALSO_DO])
    await home.lasts(minutes=14)
    assert home.events() == []
    await home.lasts(minutes=1)
    assert home.events() == ["out_of_sight"]


async def test_tell_seen_soon_after_the_start(start: Start) -> None:
    """What is seen soon after a start is no news, and what gets out of sight then is, once."""
    home = await start("tell_me", True, NO_CONNECTION, actions=[ALSO_DO])
    await home.lasts(minutes=14)
    await home.show("swing", CONNECTED)
    await home.show("swing", NO_CONNECTION)
    await home.lasts(minutes=14)
    assert home.events() == []
    await home.lasts(minutes=1)
    assert home.events() == ["out_of_sight"]


async def test_tell_button_after_a_start(start: Start) -> None:
    """The button of a message from before a restart works after it."""
    home = await start("tell_me", False, DISCONNECTED, actions=[ALSO_DO])
    await press(home, "swing")
    assert home.reconnects() == ["swing"]
