"""Test the reasons in traces why a trigger did not fire."""

from typing import Any
from unittest.mock import MagicMock

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi.api import AccountState
from custom_components.metaapi.const import DOMAIN
from homeassistant.components import automation, script
from homeassistant.components.trace.util import async_get_trace, async_list_traces
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er, label_registry as lr
from homeassistant.setup import async_setup_component

from .blueprint_support import settle
from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    setup_entry,
    value,
)
from .test_trigger import (
    BOTH,
    BROKER_AWAY,
    RECONNECT_FAILED,
    RECONNECTING,
    SCALP_TERMINAL,
    SWING_TERMINAL,
    UNKNOWN,
    Boot,
    Fired,
    arm,
    boot,
    fired,
    pass_time,
)

__all__ = ["boot", "fired"]


def reason(
    code: str, entity_id: str = SWING_TERMINAL, **data: object
) -> dict[str, object]:
    """Return the reason in a trace."""
    return {"reason": code, "data": {"entity_id": entity_id, **data}}


STILL_OFF = reason("entity_state_not_new", state="off")
STILL_ON = reason("entity_state_not_new", state="on")
FIRST_SEEN = reason("entity_first_seen", at_start=False)
BY_RECONNECT = reason("entity_reconnecting")
NOT_HELD = reason("entity_state_not_held", lasting="0:05:00")
NOT_ALL = reason("not_all", others=[SCALP_TERMINAL])
NOT_FIRST = reason("not_first", SCALP_TERMINAL, others=[SWING_TERMINAL])


async def why_not(hass: HomeAssistant) -> list[dict[str, Any]]:
    """Return the reasons in the automation's traces, as the editor gets them."""
    await hass.async_block_till_done()
    reasons = []
    for listed in await async_list_traces(hass, automation.DOMAIN, "automation.one"):
        if listed.get("not_triggered"):
            trace: Any = await async_get_trace(hass, "automation.one", listed["run_id"])
            reasons.append(trace["trace"]["trigger/0"][0]["result"])
    return reasons


@pytest.mark.parametrize(
    ("trigger", "links", "expected"),
    [
        pytest.param("disconnected", [DISCONNECTED], [], id="it fired"),
        pytest.param(
            "disconnected",
            [NO_CONNECTION, BROKER_AWAY, UNKNOWN, CONNECTED],
            [],
            id="never what it is for",
        ),
        pytest.param(
            "disconnected",
            [DISCONNECTED, NO_CONNECTION, DISCONNECTED, UNKNOWN, DISCONNECTED],
            [STILL_OFF, STILL_OFF],
            id="as it was before it was hidden",
        ),
        pytest.param(
            "connected",
            [NO_CONNECTION, CONNECTED],
            [STILL_ON],
            id="connected as before",
        ),
        pytest.param(
            "disconnected",
            [RECONNECTING, RECONNECTING, CONNECTED],
            [BY_RECONNECT],
            id="our own reconnect",
        ),
        pytest.param(
            "connected",
            [RECONNECTING, CONNECTED],
            [STILL_ON],
            id="back after our own reconnect",
        ),
        pytest.param(
            "disconnected",
            [RECONNECTING, RECONNECT_FAILED],
            [BY_RECONNECT],
            id="a reconnect that fails",
        ),
    ],
)
async def test_reasons(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    trigger: str,
    links: list[AccountState],
    expected: list[dict[str, Any]],
) -> None:
    """Each change without firing is explained once."""
    await arm(hass, trigger)
    for link in links:
        monitor.push(SWING.account_id, link)
    assert await why_not(hass) == expected


@pytest.mark.parametrize("at_start", [True, False])
async def test_first_seen(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    fired: Fired,
    at_start: bool,
) -> None:
    """A first state is explained as such, unless `at_start` is set."""
    await setup_entry(hass, mock_config_entry)
    await arm(hass, at_start=at_start)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    assert await fired() == ([SWING_TERMINAL] if at_start else [])
    assert await why_not(hass) == ([] if at_start else [FIRST_SEEN])


@pytest.mark.parametrize("seen_late", [True, False])
async def test_start(
    hass: HomeAssistant,
    boot: Boot,
    seen_late: bool,
) -> None:
    """An outage from before a start is explained when it is seen after it."""
    boot.begin(swing=False)
    await boot.load()
    await arm(hass)
    if not seen_late:
        boot.show(SWING, DISCONNECTED)
    await boot.start()
    if seen_late:
        boot.show(SWING, DISCONNECTED)
    assert await why_not(hass) == [FIRST_SEEN]
    boot.show(SWING, NO_CONNECTION)
    boot.show(SWING, DISCONNECTED)
    assert await why_not(hass) == [FIRST_SEEN, STILL_OFF]


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        ("each", []),
        (
            "first",
            [NOT_FIRST],
        ),
        ("all", [NOT_ALL]),
    ],
)
async def test_behavior(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    behavior: str,
    expected: list[dict[str, Any]],
) -> None:
    """The reason names the other accounts."""
    await arm(hass, target={"entity_id": BOTH}, behavior=behavior)
    for account in (SWING, SCALP):
        monitor.push(account.account_id, DISCONNECTED)
    assert await why_not(hass) == expected


async def test_first_and_all_at_start(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """With `at_start`, an account that was seen later is not the first."""
    await setup_entry(hass, mock_config_entry)
    await arm(hass, target={"entity_id": BOTH}, behavior="first", at_start=True)
    for account in (SWING, SCALP):
        monitors[-1].push(account.account_id, DISCONNECTED)
    assert await why_not(hass) == [NOT_FIRST]


@pytest.mark.parametrize("at_start", [True, False])
async def test_first_of_those_that_count(
    hass: HomeAssistant, boot: Boot, fired: Fired, at_start: bool
) -> None:
    """The reason names the earlier accounts, without those not seen since the start."""
    boot.begin(swing=False)
    await boot.load()
    await boot.start()
    await arm(hass, target={"entity_id": BOTH}, behavior="first", at_start=at_start)
    boot.show(SCALP, CONNECTED)
    boot.show(SCALP, DISCONNECTED)
    assert await fired() == ([SCALP_TERMINAL] if at_start else [])
    assert await why_not(hass) == ([] if at_start else [NOT_FIRST])


async def test_unrelated_changes(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """Accounts outside of the target and other states need no explanation."""
    await arm(hass, lasting=300)
    monitor.push(SCALP.account_id, DISCONNECTED)
    monitor.push(SCALP.account_id, NO_CONNECTION)
    monitor.push(SCALP.account_id, DISCONNECTED)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 301)
    er.async_get(hass).async_update_entity(SWING_TERMINAL, icon="mdi:monitor")
    assert await why_not(hass) == []


@pytest.mark.parametrize("behavior", ["each", "first", "all"])
async def test_not_held(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    fired: Fired,
    freezer: FrozenDateTimeFactory,
    behavior: str,
) -> None:
    """A state that ends too soon is explained; a gap ends nothing."""
    await arm(hass, behavior=behavior, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    monitor.push(SWING.account_id, NO_CONNECTION)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 299)
    assert await why_not(hass) == []
    monitor.push(SWING.account_id, CONNECTED)
    assert await why_not(hass) == [NOT_HELD]
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 301)
    assert await fired() == [SWING_TERMINAL]
    monitor.push(SWING.account_id, CONNECTED)
    assert await why_not(hass) == [NOT_HELD]


async def test_waiting_already(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """While the trigger waits for the first account, another one has no reason."""
    await arm(hass, target={"entity_id": BOTH}, behavior="first", lasting=300)
    for account in (SWING, SCALP):
        monitor.push(account.account_id, DISCONNECTED)
    monitor.push(SWING.account_id, CONNECTED)
    assert await why_not(hass) == []


async def test_target_grows(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """A wait that ends because the target grew was not too short."""
    label = lr.async_get(hass).async_create("Trading").label_id
    registry = er.async_get(hass)
    registry.async_update_entity(SWING_TERMINAL, labels={label})
    await arm(hass, target={"label_id": label}, behavior="all", lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    registry.async_update_entity(SCALP_TERMINAL, labels={label})
    monitor.push(SWING.account_id, NO_CONNECTION)
    assert await why_not(hass) == []


async def test_without_traces(
    hass: HomeAssistant, monitor: FakeMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    """A script that waits for a trigger has no such traces, and works."""
    trigger = {
        "trigger": f"{DOMAIN}.disconnected",
        "target": {"entity_id": SWING_TERMINAL},
    }
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await async_setup_component(
        hass,
        script.DOMAIN,
        {script.DOMAIN: {"waits": {"sequence": [{"wait_for_trigger": trigger}]}}},
    )
    await hass.services.async_call(script.DOMAIN, "waits", blocking=False)
    await settle(hass)
    monitor.push(SWING.account_id, NO_CONNECTION)
    monitor.push(SWING.account_id, DISCONNECTED)
    await settle(hass)
    assert value(hass, "script.waits") == "on"
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, DISCONNECTED)
    await hass.async_block_till_done()
    assert value(hass, "script.waits") == "off"
    assert "Error" not in caplog.text
