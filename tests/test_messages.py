"""Test the messages in every language."""

from datetime import timedelta
from itertools import product
import json
import re
from typing import Any

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi.api import Outcome, ReconnectResult, Status
from custom_components.metaapi.const import DOMAIN
from custom_components.metaapi.messages import TITLES, Composer, Phase, Told
from custom_components.metaapi.outages import AccountRecord, Facet
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util import dt as dt_util

from .conftest import SWING, FakeMonitor
from .flow_support import PACKAGE

LANGUAGES = sorted(path.stem for path in (PACKAGE / "translations").glob("*.json"))


async def composer_of(hass: HomeAssistant, language: str) -> Composer:
    """Return the composer of messages in a language."""
    hass.config.language = language
    await async_get_translations(hass, language, "common", {DOMAIN})
    return Composer(hass)


def told_of(
    entry: MockConfigEntry, facet: Facet, status: Status | None, **changes: Any
) -> Told:
    """Return an account that lost something some time ago."""
    record = AccountRecord(status=status)
    record.facets[facet].last = False
    record.facets[facet].since = dt_util.utcnow() - timedelta(minutes=12)
    for key, value in changes.pop("record", {}).items():
        setattr(record, key, value)
    return Told(account_id=SWING.account_id, entry=entry, record=record, **changes)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("facet", "phase"), TITLES)
async def test_every_message(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    language: str,
    facet: Facet,
    phase: Phase,
) -> None:
    """Every message about one or many accounts has whole sentences without placeholders."""
    composer = await composer_of(hass, language)
    outcomes = [*Outcome] if phase is Phase.RECONNECT_FAILED else [Outcome.REFUSED]
    for status, outcome in product([*Status, None], outcomes):
        one = told_of(
            mock_config_entry,
            facet,
            status,
            record={
                "result": ReconnectResult(outcome, 1.0, "{no} such"),
                "attempted_at": dt_util.utcnow(),
                "attempts": 2,
            },
        )
        for told in ([one], [one] * 30):
            title = composer.title(facet, phase, told)
            message = composer.message(facet, phase, told)
            for text in (title, message):
                assert not re.search(r"[a-z]+_[a-z_]+", text), text
                assert "{" not in text.replace("{no} such", "")
            assert message.endswith((".", "。"))
            assert "Swing" in title or len(told) > 1
            assert "Swing" in message or len(told) == 1


@pytest.mark.parametrize("language", LANGUAGES)
async def test_texts_are_those_of_the_language(
    hass: HomeAssistant, monitor: FakeMonitor, language: str
) -> None:
    """A home gets the texts of its language."""
    composer = await composer_of(hass, language)
    file = PACKAGE / "translations" / f"{language}.json"
    texts = json.loads(file.read_text(encoding="utf-8"))
    assert composer.text("gave_up") == texts["common"]["gave_up"]
    assert composer.reconnect == texts["entity"]["button"]["reconnect"]["name"]
    events = texts["entity"]["event"]["reconnect_result"]["state_attributes"]
    for outcome in Outcome:
        assert composer.outcome(outcome) == events["event_type"]["state"][outcome]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(seconds=0.4), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=1), "1 h 0 min"),
        (timedelta(hours=23, minutes=59), "23 h 59 min"),
        (timedelta(days=2, hours=3, minutes=59), "2 d 3 h"),
    ],
)
async def test_durations(
    hass: HomeAssistant, monitor: FakeMonitor, duration: timedelta, expected: str
) -> None:
    """A duration has at most two units."""
    assert (await composer_of(hass, "en")).duration(duration) == expected


async def test_times(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """Times are in the home's time zone, with the date if it is not today."""
    await hass.config.async_set_time_zone("Asia/Tokyo")
    freezer.move_to("2026-11-18T16:00:00+00:00")
    composer = await composer_of(hass, "en")
    now = dt_util.utcnow()
    assert composer.time(now) == "01:00"
    assert composer.time(now - timedelta(minutes=61)) == "2026-11-18 23:59"


async def test_details(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """The account's details at its broker are included, as far as the device has them."""
    registry = dr.async_get(hass)
    device = registry.async_get_device_by_identifier(
        (DOMAIN, SWING.account_id), mock_config_entry.entry_id
    )
    assert device is not None
    registry.async_update_device(
        device.id, model="MetaTrader 5 · Broker-Live", serial_number="90210"
    )
    composer = await composer_of(hass, "en")
    told = told_of(mock_config_entry, Facet.TERMINAL, Status.DISCONNECTED)
    message = composer.message(Facet.TERMINAL, Phase.LOST, [told])
    assert "(MetaTrader 5, 90210, Broker-Live)." in message
