"""Test Home Assistant and the client end to end with the simulator."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
import time
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi import facts
from custom_components.metaapi.api import Account, Timing
from custom_components.metaapi.const import CONF_API_URL, DOMAIN
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import (
    EVENT_HOMEASSISTANT_STOP,
    EVENT_STATE_CHANGED,
    STATE_OFF,
    STATE_ON,
    STATE_UNAVAILABLE,
    STATE_UNKNOWN,
)
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.entity import Entity
from simulator import Simulator, plain_accounts

from .conftest import device_of, entry_state, make_entry, setup_entry, value

TERMINAL = "binary_sensor.swing_terminal"
BROKER = "binary_sensor.swing_broker"
STATUS = "sensor.swing_status"
BUTTON = "button.swing_reconnect"
LINK = "binary_sensor.metaapi_link"

FAST = Timing(
    silence=5.0,
    round=0.5,
    unknown=5.0,
    blind=0.5,
    subscribe_first=0.05,
    subscribe_max=0.4,
    refused_floor=2.0,
    backoff_first=0.02,
    backoff_max=0.2,
    connect=5.0,
    ping_timeout_least=0.05,
    close=0.5,
    response=5.0,
    reconnect_response=2.0,
    subscribe_settle=0.05,
    token_again=0.2,
    sweep=0.01,
    jitter_per_account=0.0,
)
"""Half a second is enough to be sure; what no test here waits for has time to spare."""


@pytest.fixture(autouse=True)
def fast() -> Iterator[None]:
    """Shorten all delays."""
    with patch("custom_components.metaapi.TIMING", FAST):
        yield


@pytest.fixture
async def sim(hass: HomeAssistant, socket_enabled: None) -> AsyncIterator[Simulator]:
    """Run a simulator with two accounts that are up."""
    async with Simulator(
        accounts=2,
        status_interval=0.05,
        reconnect_delay=0.05,
        subscribe_timeout=0.05,
        ping_interval=0.2,
        ping_timeout=0.5,
    ) as simulator:
        yield simulator


@pytest.fixture
async def entry(hass: HomeAssistant, sim: Simulator) -> AsyncIterator[MockConfigEntry]:
    """Set up an entry for the simulator's accounts, and unload it at the end."""
    mock_entry = entry_for(sim)
    await setup_entry(hass, mock_entry)
    yield mock_entry
    if entry_state(mock_entry) is ConfigEntryState.LOADED:
        await hass.config_entries.async_unload(mock_entry.entry_id)
        await hass.async_block_till_done()


@pytest.fixture
def history(hass: HomeAssistant) -> dict[str, list[str]]:
    """Record the states of every entity."""
    states: dict[str, list[str]] = {}

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        if (new_state := event.data["new_state"]) is not None:
            seen = states.setdefault(event.data["entity_id"], [])
            if seen[-1:] != [new_state.state]:
                seen.append(new_state.state)

    hass.bus.async_listen(EVENT_STATE_CHANGED, note)
    return states


def entry_for(sim: Simulator, token: str | None = None) -> MockConfigEntry:
    """Return an entry for all accounts of a simulator."""
    return make_entry(
        *(
            Account(account_id=one.id, name=one.name, region=one.region)
            for one in sim.accounts.values()
        ),
        token=token or sim.token,
        data={CONF_API_URL: sim.url},
    )


async def until(condition: Callable[[], object], timeout: float = 60.0) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_state(hass: HomeAssistant, entity_id: str, state: str) -> None:
    """Wait until an entity has a state."""
    try:
        await until(lambda: value(hass, entity_id) == state)
    except TimeoutError:
        pytest.fail(f"{entity_id} is {value(hass, entity_id)}, not {state}")


async def reconnect(hass: HomeAssistant, **data: Any) -> Any:
    """Call the action and return the outcome of its first account."""
    response = await hass.services.async_call(
        DOMAIN,
        "reconnect",
        {"entity_id": TERMINAL, **data},
        blocking=True,
        return_response=True,
    )
    assert response is not None
    return response["accounts"][0]  # type: ignore[index]


def issues(hass: HomeAssistant) -> list[ir.IssueEntry]:
    """Return our repair issues."""
    return [one for one in ir.async_get(hass).issues.values() if one.domain == DOMAIN]


async def press(hass: HomeAssistant) -> None:
    """Press the button."""
    await hass.services.async_call(
        "button", "press", {"entity_id": BUTTON}, blocking=True
    )


async def test_drop_and_reconnect(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """A dropped terminal is shown, and the action reconnects it."""
    await until_state(hass, BROKER, STATE_ON)
    assert value(hass, TERMINAL) == STATE_ON
    assert value(hass, STATUS) == "connected"
    assert value(hass, LINK) == STATE_ON

    sim.set_terminal(sim.account.id, False)
    await until_state(hass, TERMINAL, STATE_OFF)
    assert value(hass, STATUS) == "disconnected"
    assert value(hass, "binary_sensor.scalper_terminal") == STATE_ON

    account = await reconnect(hass)

    assert account["outcome"] == "authenticated"
    assert account["name"] == "Swing"
    assert 0 < account["seconds"] < 5
    assert sim.account.reconnects == 1
    await until_state(hass, TERMINAL, STATE_ON)
    assert value(hass, STATUS) == "connected"
    assert [request.payload["application"] for request in sim.requests] == [
        "MetaApi"
    ] * len(sim.requests)


async def test_broker(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """The loss of the broker is not a loss of the terminal."""
    await until_state(hass, BROKER, STATE_ON)

    sim.set_broker(sim.account.id, False)

    await until_state(hass, BROKER, STATE_OFF)
    assert value(hass, TERMINAL) == STATE_ON
    assert value(hass, STATUS) == "broker_disconnected"


async def test_terminal_down_at_start(hass: HomeAssistant, sim: Simulator) -> None:
    """A terminal that is down from the start is off after the first round of subscribes."""
    sim.set_terminal(sim.account.id, False)
    entry = entry_for(sim)
    await setup_entry(hass, entry)

    await until_state(hass, TERMINAL, STATE_OFF)

    assert value(hass, STATUS) == "never_authenticated"
    await hass.config_entries.async_reload(entry.entry_id)
    assert value(hass, STATUS) == STATE_UNKNOWN
    await until_state(hass, TERMINAL, STATE_OFF)
    assert value(hass, STATUS) == "never_authenticated"
    await hass.config_entries.async_unload(entry.entry_id)


async def test_terminal_that_dropped_before_the_start(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """It has been connected once: nothing is wrong with its password."""
    await until_state(hass, TERMINAL, STATE_ON)
    sim.set_terminal(sim.account.id, False)
    await until_state(hass, TERMINAL, STATE_OFF)

    await hass.config_entries.async_reload(entry.entry_id)
    assert value(hass, STATUS) == STATE_UNKNOWN
    await until_state(hass, TERMINAL, STATE_OFF)

    assert value(hass, STATUS) == "disconnected"


async def test_network_away_and_back(
    hass: HomeAssistant,
    sim: Simulator,
    entry: MockConfigEntry,
    history: dict[str, list[str]],
) -> None:
    """Our own loss is shown as unavailable, never as off."""
    await until_state(hass, TERMINAL, STATE_ON)
    history.clear()

    await sim.stop_listening()
    await until_state(hass, TERMINAL, STATE_UNAVAILABLE)
    await until_state(hass, LINK, STATE_OFF)
    assert value(hass, STATUS) == "no_connection"
    await sim.resume_listening()
    await until_state(hass, TERMINAL, STATE_ON)
    await until_state(hass, LINK, STATE_ON)

    assert history[TERMINAL] == [STATE_UNAVAILABLE, STATE_ON]
    assert history[LINK] == [STATE_OFF, STATE_ON]
    # Between the connection and `authenticated` the state is unknown
    assert history[STATUS] in (
        ["no_connection", "connected"],
        ["no_connection", "no_answer", "connected"],
    )
    assert BUTTON not in history


async def test_server_freezes(
    hass: HomeAssistant,
    sim: Simulator,
    entry: MockConfigEntry,
    history: dict[str, list[str]],
) -> None:
    """A frozen server is no evidence that an account is off, either."""
    await until_state(hass, TERMINAL, STATE_ON)
    history.clear()

    sim.freeze()
    await until_state(hass, TERMINAL, STATE_UNAVAILABLE)
    sim.unfreeze()
    await until_state(hass, TERMINAL, STATE_ON)

    assert history[TERMINAL] == [STATE_UNAVAILABLE, STATE_ON]


async def test_press_while_away(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """A press while out of sight waits for the connection, and then reconnects."""
    await until_state(hass, TERMINAL, STATE_ON)
    await sim.stop_listening()
    await until_state(hass, TERMINAL, STATE_UNAVAILABLE)

    pressing = hass.async_create_task(press(hass))
    await asyncio.sleep(0.1)
    assert not pressing.done()
    await sim.resume_listening()
    await asyncio.wait_for(pressing, 30)

    assert sim.account.reconnects == 1
    await until_state(hass, TERMINAL, STATE_ON)


async def test_no_connection(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """Without a connection in time, the action reports that."""
    await until_state(hass, TERMINAL, STATE_ON)
    await sim.stop_listening()
    await until_state(hass, TERMINAL, STATE_UNAVAILABLE)

    account = await reconnect(hass, timeout=1)

    assert account["outcome"] == "no_connection"


async def test_two_callers(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """The second caller joins the first; MetaApi gets one request."""
    await until_state(hass, TERMINAL, STATE_ON)

    first, second, _ = await asyncio.gather(
        reconnect(hass), reconnect(hass, timeout=30), press(hass)
    )

    assert first["outcome"] == second["outcome"] == "authenticated"
    assert len(sim.requests_of("reconnect")) == 1


async def test_refused(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """MetaApi's reason for a refusal is shown to the user who pressed the button."""
    await until_state(hass, TERMINAL, STATE_ON)
    sim.set_reconnect_mode(sim.account.id, "refuse", error="ForbiddenError")

    with pytest.raises(HomeAssistantError) as raised:
        await press(hass)

    assert raised.value.translation_key == "reconnect_refused"
    assert raised.value.translation_placeholders is not None
    assert raised.value.translation_placeholders["accounts"] == "Swing"
    assert raised.value.translation_placeholders["error"]


async def test_timed_out(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """A terminal that does not come back is reported as such, and is off."""
    await until_state(hass, TERMINAL, STATE_ON)
    sim.set_reconnect_mode(sim.account.id, "never")

    account = await reconnect(hass, timeout=1)

    assert account["outcome"] == "timed_out"
    assert value(hass, TERMINAL) == STATE_OFF


async def test_not_deployed(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """An undeployed account cannot be reconnected; after its deployment it can be at once."""
    sim.undeploy(sim.account.id)
    await hass.config_entries.async_reload(entry.entry_id)
    await until_state(hass, STATUS, "not_deployed")
    assert value(hass, TERMINAL) == STATE_OFF

    with pytest.raises(HomeAssistantError) as raised:
        await press(hass)
    assert raised.value.translation_key == "reconnect_not_deployed"

    sim.deploy(sim.account.id)
    await sim.wait_for(lambda: sim.account.deployed)
    assert (await reconnect(hass))["outcome"] == "authenticated"
    await until_state(hass, TERMINAL, STATE_ON)


@pytest.fixture
def soon() -> Iterator[None]:
    """Shorten the delays between listings."""
    with (
        patch.object(facts, "REREAD_DELAY", timedelta(seconds=0.02)),
        patch.object(facts, "REREAD_PAUSE", timedelta(seconds=0.2)),
    ):
        yield


async def test_undeployed_and_deployed_while_running(
    hass: HomeAssistant, soon: None, sim: Simulator, entry: MockConfigEntry
) -> None:
    """Undeploying an account at MetaApi is shown without a reload."""
    await until_state(hass, TERMINAL, STATE_ON)

    sim.undeploy(sim.account.id)
    await until_state(hass, STATUS, "not_deployed")
    assert value(hass, TERMINAL) == STATE_OFF
    assert value(hass, "binary_sensor.scalper_terminal") == STATE_ON

    sim.deploy(sim.account.id)
    await sim.wait_for(lambda: sim.account.deployed)
    await entry.runtime_data.facts.async_read()
    await until_state(hass, TERMINAL, STATE_ON)
    assert not issues(hass)


async def test_deleted_while_running(
    hass: HomeAssistant, soon: None, sim: Simulator, entry: MockConfigEntry
) -> None:
    """Deleting an account at MetaApi is shown without a reload, with a repair issue."""
    await until_state(hass, TERMINAL, STATE_ON)

    sim.delete_account(sim.account.id)
    await until_state(hass, STATUS, "not_found")
    assert value(hass, TERMINAL) == STATE_UNAVAILABLE
    await until(lambda: issues(hass))

    (issue,) = issues(hass)
    assert issue.translation_key == "account_deleted"
    assert issue.translation_placeholders is not None
    assert issue.translation_placeholders["account"] == "Swing"
    assert value(hass, "binary_sensor.scalper_terminal") == STATE_ON


async def test_renamed_while_running(
    hass: HomeAssistant, soon: None, sim: Simulator, entry: MockConfigEntry
) -> None:
    """A listing for any reason also updates the names."""
    await until_state(hass, TERMINAL, STATE_ON)

    sim.rename(sim.account.id, "Long term")
    sim.set_terminal(sim.account.id, False)
    await until(lambda: next(iter(entry.subentries.values())).title == "Long term")

    state = hass.states.get(TERMINAL)
    assert state is not None
    assert state.name == "Long term Terminal"


async def test_quota_exhausted(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """A quota that other applications exhaust is shown until there is room again."""
    await until_state(hass, TERMINAL, STATE_ON)
    sim.limit_subscriptions("LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER", retry_after=0.1)

    sim.set_terminal(sim.account.id, False)
    await until_state(hass, TERMINAL, STATE_OFF)
    sim.drop_sockets()
    await until_state(hass, STATUS, "quota_exhausted")

    (issue,) = issues(hass)
    assert issue.translation_key == "quota_exhausted"
    assert issue.translation_placeholders is not None
    assert issue.translation_placeholders["allowed"].isdecimal()
    assert issue.translation_placeholders["used"].isdecimal()

    sim.limit_subscriptions(None)
    sim.set_terminal(sim.account.id, True)
    await until_state(hass, TERMINAL, STATE_ON)
    await until(lambda: not issues(hass))


@pytest.mark.parametrize("provisioning", [True, False])
async def test_set_up_while_metaapi_hangs(
    hass: HomeAssistant, sim: Simulator, provisioning: bool
) -> None:
    """A server that answers nothing does not delay the start of Home Assistant."""
    sim.freeze(rest=True)
    # With a custom URL and a limited token the set-up makes no REST call
    entry = entry_for(sim, sim.grant(provisioning=provisioning))
    started = hass.loop.time()
    with patch.object(facts, "SETUP_TIMEOUT", 0.3):
        await setup_entry(hass, entry)
    assert hass.loop.time() < started + 2
    assert entry_state(entry) is ConfigEntryState.LOADED

    sim.unfreeze()
    await until_state(hass, TERMINAL, STATE_ON)
    await hass.config_entries.async_unload(entry.entry_id)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(530, "<html><h1>Error 1016</h1></html>", id="530"),
        pytest.param(504, "", id="504"),
    ],
)
async def test_rest_away_at_start(
    hass: HomeAssistant, soon: None, sim: Simulator, status: int, body: str
) -> None:
    """Stored data is enough to connect; the facts follow when REST is back."""
    entry = entry_for(sim, sim.grant())
    sim.fail_rest(status, body=body)
    await setup_entry(hass, entry)
    await until_state(hass, TERMINAL, STATE_ON)
    assert entry_state(entry) is ConfigEntryState.LOADED
    assert device_of(hass, entry, sim.account.id).model is None

    sim.fail_rest(None)
    await until(lambda: device_of(hass, entry, sim.account.id).model is not None)
    assert value(hass, TERMINAL) == STATE_ON
    await hass.config_entries.async_unload(entry.entry_id)


async def test_token_expires_while_running(hass: HomeAssistant, sim: Simulator) -> None:
    """After its expiry MetaApi is asked, and Home Assistant asks for a new token."""
    token = sim.grant(expires=int(time.time()) + 3)
    entry = entry_for(sim, token)
    await setup_entry(hass, entry)
    await until_state(hass, TERMINAL, STATE_ON)
    (issue,) = issues(hass)
    assert issue.translation_key == "token_expiring"

    sim.revoke(token)
    await until(lambda: hass.config_entries.flow.async_progress_by_handler(DOMAIN))
    await until(lambda: not issues(hass))

    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["context"]["source"] == "reauth"
    # A working connection is kept until MetaApi closes it
    assert value(hass, TERMINAL) == STATE_ON
    sim.revoke(token, drop=True)
    await until_state(hass, TERMINAL, STATE_UNAVAILABLE)
    await hass.config_entries.async_unload(entry.entry_id)


async def test_token_revoked_while_running(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """There is exactly one request for a new token, and no state is shown any more."""
    await until_state(hass, TERMINAL, STATE_ON)

    sim.revoke(drop=True)
    await until_state(hass, TERMINAL, STATE_UNAVAILABLE)
    await until(lambda: hass.config_entries.flow.async_progress_by_handler(DOMAIN))
    handshakes = len(sim.handshakes)
    await asyncio.sleep(0.5)

    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["context"]["source"] == "reauth"
    assert flow["context"]["entry_id"] == entry.entry_id
    assert len(sim.handshakes) == handshakes
    assert value(hass, STATUS) == "token_refused"
    assert value(hass, LINK) == STATE_OFF
    assert value(hass, BUTTON) != STATE_UNAVAILABLE
    async with asyncio.timeout(30):  # half of what the action may take
        account = await reconnect(hass)
    assert account["outcome"] == "token_refused"
    assert account["error"] is None


async def test_limited_token(hass: HomeAssistant, sim: Simulator) -> None:
    """A token that cannot list accounts can do everything else."""
    entry = entry_for(sim, sim.grant(provisioning=False))
    await setup_entry(hass, entry)
    await until_state(hass, TERMINAL, STATE_ON)

    assert (await reconnect(hass))["outcome"] == "authenticated"

    await hass.config_entries.async_unload(entry.entry_id)


async def test_limited_token_that_has_expired(
    hass: HomeAssistant, sim: Simulator
) -> None:
    """The connections report it once, since the set-up cannot list accounts."""
    token = sim.grant(provisioning=False)
    sim.revoke(token)
    entry = entry_for(sim, token)
    await setup_entry(hass, entry)
    assert entry_state(entry) is ConfigEntryState.LOADED

    await until(lambda: hass.config_entries.flow.async_progress_by_handler(DOMAIN))

    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["context"]["source"] == "reauth"
    assert value(hass, TERMINAL) == STATE_UNAVAILABLE
    assert value(hass, LINK) == STATE_OFF
    await hass.config_entries.async_unload(entry.entry_id)


async def test_unload(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """An unload ends subscriptions and connections; the next set-up starts from scratch."""
    await until_state(hass, TERMINAL, STATE_ON)

    await hass.config_entries.async_unload(entry.entry_id)
    await sim.wait_for(lambda: not sim.sockets)
    assert len(sim.requests_of("unsubscribe")) == 2

    await hass.config_entries.async_setup(entry.entry_id)
    await until_state(hass, TERMINAL, STATE_ON)


async def test_unload_while_away(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """An unload does not wait for a connection that is being opened."""
    await until_state(hass, TERMINAL, STATE_ON)
    await sim.stop_listening()
    await until_state(hass, TERMINAL, STATE_UNAVAILABLE)
    pressing = hass.async_create_task(reconnect(hass))
    await asyncio.sleep(0.05)

    async with asyncio.timeout(8):  # a connection may take 10 s
        assert await hass.config_entries.async_unload(entry.entry_id)
        assert (await pressing)["outcome"] == "no_connection"


async def test_home_assistant_stops(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """The connections are closed properly."""
    await until_state(hass, TERMINAL, STATE_ON)

    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await sim.wait_for(lambda: not sim.sockets)

    assert len(sim.requests_of("unsubscribe")) == 2


async def test_hundred_and_fifty_accounts(
    hass: HomeAssistant, socket_enabled: None
) -> None:
    """More accounts than fit on one connection are all shown."""
    async with Simulator(accounts=plain_accounts(150), status_interval=1.0) as sim:
        entry = entry_for(sim)
        await setup_entry(hass, entry)
        terminals = [
            entity_id
            for entity_id in hass.states.async_entity_ids("binary_sensor")
            if entity_id.endswith("_terminal")
        ]
        assert len(terminals) == 150
        await until(
            lambda: all(value(hass, terminal) == STATE_ON for terminal in terminals)
        )
        assert len(sim.sockets) == 2
        await hass.config_entries.async_unload(entry.entry_id)


async def test_unchanged_status_writes_no_state(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry
) -> None:
    """A status without a change writes nothing; a lost broker changes two entities."""
    await until_state(hass, BROKER, STATE_ON)
    monitor = entry.runtime_data.monitor
    with patch.object(Entity, "async_write_ha_state", autospec=True) as write:

        def events() -> int:
            """Return how many state changes there were."""
            total: int = monitor.diagnostics()["sockets"][0]["events"]
            return total

        before = events()
        await until(lambda: events() >= before + 20)
        assert not write.called
        sim.set_broker(sim.account.id, False)
        await until(lambda: write.call_count >= 2)
        written = [call.args[0].entity_id for call in write.call_args_list]
    assert sorted(written) == [BROKER, STATUS]
