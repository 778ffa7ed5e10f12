"""Test the weekend of the currency market in New York."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from custom_components.metaapi.quiet import FX_ZONE, Quiet, fx_weekend
from homeassistant.core import HomeAssistant

ZONE = ZoneInfo(FX_ZONE)


def utc(text: str) -> datetime:
    """Return a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "begins", "ends"),
    [
        ("2026-11-21T00:00", "2026-11-20T22:00", "2026-11-22T22:00"),
        ("2026-11-20T22:00", "2026-11-20T22:00", "2026-11-22T22:00"),
        ("2026-11-20T21:59", "2026-11-13T22:00", "2026-11-15T22:00"),
        ("2026-11-25T12:00", "2026-11-20T22:00", "2026-11-22T22:00"),
        ("2026-07-11T12:00", "2026-07-10T21:00", "2026-07-12T21:00"),
        # New York's clocks change in these nights
        ("2026-03-08T12:00", "2026-03-06T22:00", "2026-03-08T21:00"),
        ("2026-11-01T12:00", "2026-10-30T21:00", "2026-11-01T22:00"),
        # Europe's clocks change in these nights
        ("2026-03-29T12:00", "2026-03-27T21:00", "2026-03-29T21:00"),
        ("2026-10-25T12:00", "2026-10-23T21:00", "2026-10-25T21:00"),
    ],
)
def test_weekends(moment: str, begins: str, ends: str) -> None:
    """A weekend lasts from Friday 17:00 to Sunday 17:00 in New York."""
    assert fx_weekend(utc(moment), ZONE) == (utc(begins), utc(ends))


async def test_each_weekend_ends_once(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    """The end of each weekend is reported once, on the minute."""
    freezer.move_to(utc("2026-11-20T12:00"))
    ended: list[datetime] = []
    quiet = Quiet(hass, ZONE, [])
    detach = quiet.async_attach(lambda: ended.append(datetime.now(UTC)))
    for _ in range(24 * 10):
        freezer.tick(timedelta(hours=1))
        async_fire_time_changed(hass)
        await hass.async_block_till_done()
    assert [moment.replace(microsecond=0) for moment in ended] == [
        utc("2026-11-22T22:00"),
        utc("2026-11-29T22:00"),
    ]
    detach()


async def test_entities(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    """It is quiet while any of the entities is on."""
    ended: list[bool] = []
    quiet = Quiet(hass, None, ["schedule.night", "switch.holidays"])
    detach = quiet.async_attach(lambda: ended.append(True))
    assert not quiet.is_quiet()
    for entity_id in ("schedule.night", "switch.holidays"):
        hass.states.async_set(entity_id, "on")
    await hass.async_block_till_done()
    assert quiet.is_quiet()
    hass.states.async_set("schedule.night", "off")
    await hass.async_block_till_done()
    assert (quiet.is_quiet(), ended) == (True, [])
    hass.states.async_remove("switch.holidays")
    await hass.async_block_till_done()
    assert (quiet.is_quiet(), ended) == (False, [True])
    detach()
