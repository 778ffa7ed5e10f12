"""Accounts under watch: what REST says of them, and a reconnect that reads it again."""

import asyncio
from dataclasses import replace
from datetime import timedelta
import logging
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi.api import (
    Account,
    CannotConnectError,
    ForbiddenError,
    NotFoundError,
    Outcome,
    ReconnectResult,
    Replica,
    UnauthorizedError,
)
from custom_components.metaapi.const import (
    DEFAULT_TIMEOUT,
    DOMAIN,
    REREAD_DELAY,
    REREAD_INTERVAL,
    REREAD_PAUSE,
)
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from simulator import make_jwt

from .conftest import (
    DISCONNECTED,
    SCALP,
    SWING,
    FakeMonitor,
    data_of,
    entry_state,
    make_entry,
    pass_time,
    setup_entry,
    value,
)

UNDEPLOYED = replace(SWING, state="UNDEPLOYED")
NOT_DEPLOYED_RESULT = ReconnectResult(Outcome.NOT_DEPLOYED, 0.0)


# -- facts -------------------------------------------------------------------------------------


async def test_facts_at_setup(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """The monitor is told what REST says of each account: one listing for all."""
    replica = Replica(account_id="r", region="singapore", state="DEPLOYED")
    provisioning.accounts.return_value = [
        UNDEPLOYED,
        replace(SCALP, region="vint-hill", replicas=(replica,)),
    ]

    await setup_entry(hass, mock_config_entry)

    assert monitors[0].facts == [
        (SWING.account_id, False, True),
        (SCALP.account_id, True, True),
    ]
    assert monitors[0].regions[SCALP.account_id] == "vint-hill"
    assert monitors[0].replicas == {SWING.account_id: [], SCALP.account_id: [replica]}
    provisioning.accounts.assert_called_once_with()
    provisioning.account.assert_not_called()


async def test_slow_reread(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """Every 15 minutes the facts are read again."""
    assert timedelta(minutes=15) == REREAD_INTERVAL
    monitor.facts.clear()
    replica = Replica(account_id="r", region="singapore", state="DEPLOYED")
    provisioning.accounts.return_value = [
        UNDEPLOYED,
        replace(SCALP, replicas=(replica,)),
    ]

    for calls in (2, 3):
        await pass_time(hass, REREAD_INTERVAL)
        assert provisioning.accounts.call_count == calls

    assert monitor.facts[:2] == [
        (SWING.account_id, False, True),
        (SCALP.account_id, True, True),
    ]
    assert monitor.replicas[SCALP.account_id] == [replica]


async def test_reread_leaves_room_for_others(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """Between some accounts and the next, something else gets its turn: one may be removed then."""
    scalp = mock_config_entry.get_subentries_of_type("account")[1]
    monitor.facts.clear()

    def set_facts(*args: Any, **kwargs: Any) -> None:
        hass.loop.call_soon(
            hass.config_entries.async_remove_subentry,
            mock_config_entry,
            scalp.subentry_id,
        )
        FakeMonitor.set_facts(monitor, *args, **kwargs)

    with (
        patch("custom_components.metaapi.accounts.READ_AT_ONCE", 1),
        patch.object(monitor, "set_facts", set_facts),
    ):
        await pass_time(hass, REREAD_INTERVAL)

    assert provisioning.accounts.call_count == 2
    assert monitor.facts == [(SWING.account_id, True, True)]
    assert monitor.removed == [SCALP.account_id]
    assert data_of(mock_config_entry).facts._timer is not None


async def test_reread_that_fails(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It changes nothing, makes nothing unavailable, and is no matter for the log."""
    monitor.facts.clear()
    caplog.clear()
    provisioning.accounts.side_effect = CannotConnectError("down")

    with caplog.at_level(logging.INFO, "custom_components.metaapi"):
        await pass_time(hass, REREAD_INTERVAL)
        await pass_time(hass, REREAD_INTERVAL)

    assert provisioning.accounts.call_count == 3
    assert monitor.facts == []
    assert monitor.token_checks == 0
    assert value(hass, "binary_sensor.swing_terminal") == "on"
    assert not [record for record in caplog.records if "metaapi" in record.name]


async def test_reread_without_permission(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """A 403 while running says nothing of the token."""
    provisioning.accounts.side_effect = ForbiddenError("no")

    await pass_time(hass, REREAD_INTERVAL)
    await pass_time(hass, REREAD_INTERVAL)

    assert provisioning.accounts.call_count == 3
    assert monitor.token_checks == 0


async def test_first_listing_is_forbidden(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """A 403 may pass: the next poll asks again, and then everything is known."""
    provisioning.accounts.side_effect = ForbiddenError("no")
    entry = make_entry(SWING)
    await setup_entry(hass, entry)
    assert entry_state(entry) is ConfigEntryState.LOADED
    assert monitors[0].facts == []
    provisioning.accounts.side_effect = None

    await pass_time(hass, REREAD_INTERVAL)

    assert monitors[0].facts == [(SWING.account_id, True, True)]


async def test_reread_with_a_refused_token(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """The monitor is asked to make sure."""
    provisioning.accounts.side_effect = UnauthorizedError("no")

    await pass_time(hass, REREAD_INTERVAL)

    assert monitor.token_checks == 1
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)


@pytest.mark.usefixtures("listed_long_ago")
async def test_slow_reread_does_what_a_quick_one_was_to_do(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """A listing that comes first is the one that was wanted."""
    provisioning.accounts.reset_mock()
    monitor.push(SWING.account_id, DISCONNECTED)

    await data_of(mock_config_entry).facts.async_read()
    await pass_time(hass, REREAD_PAUSE)

    assert provisioning.accounts.call_count == 1


@pytest.mark.usefixtures("listed_long_ago")
async def test_quick_reread_is_quick(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """Accounts that go off together cost one listing, a second later."""
    provisioning.accounts.reset_mock()
    for account in (SWING, SCALP):
        monitor.push(account.account_id, DISCONNECTED)
    await pass_time(hass, REREAD_DELAY)

    assert provisioning.accounts.call_count == 1


async def test_no_reread_without_permission(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """A token that cannot list accounts is not asked to, whatever happens."""
    entry = make_entry(SWING, token=make_jwt(provisioning=False))
    await setup_entry(hass, entry)

    monitors[0].push(SWING.account_id, DISCONNECTED)

    assert data_of(entry).facts._timer is None
    await pass_time(hass, REREAD_INTERVAL)
    provisioning.accounts.assert_not_called()


async def test_account_in_motion(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """An account that is being deployed is looked at every minute until it is."""
    provisioning.accounts.return_value = [replace(SWING, state="DEPLOYING"), SCALP]
    await setup_entry(hass, mock_config_entry)
    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 2

    provisioning.accounts.return_value = [SWING, SCALP]
    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 3
    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 3


async def test_unload_ends_rereads(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """After an unload nothing is read."""
    facts = data_of(mock_config_entry).facts
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await hass.config_entries.async_unload(mock_config_entry.entry_id)
    facts.async_read_soon()
    assert facts._timer is None
    provisioning.accounts.reset_mock()

    await pass_time(hass, REREAD_INTERVAL)

    provisioning.accounts.assert_not_called()


# -- reconnect ---------------------------------------------------------------------------------


async def test_deployed_a_minute_ago(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """An account that seems not to be deployed is looked up once more, and then reconnected."""
    monitor.facts.clear()
    monitor.reconnect_results[SWING.account_id] = [NOT_DEPLOYED_RESULT]
    moved = replace(SWING, region="singapore")
    provisioning.account.return_value = moved
    provisioning.accounts.reset_mock()

    result = await data_of(mock_config_entry).accounts.async_reconnect(
        SWING.account_id, 60
    )

    assert result.outcome is Outcome.AUTHENTICATED
    assert data_of(mock_config_entry).facts.accounts[SWING.account_id] == moved
    assert monitor.facts == [(SWING.account_id, True, True)]
    assert [account_id for account_id, _ in monitor.reconnects] == [
        SWING.account_id
    ] * 2
    assert 59 < monitor.reconnects[1][1] <= 60
    provisioning.accounts.assert_not_called()


@pytest.mark.parametrize(
    "answer", [UNDEPLOYED, CannotConnectError("down"), NotFoundError("gone")]
)
async def test_not_deployed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
    answer: Account | Exception,
) -> None:
    """Where the second look changes nothing, the answer stays."""
    monitor.reconnect_results[SWING.account_id] = [NOT_DEPLOYED_RESULT]
    provisioning.account.side_effect = [answer]

    result = await data_of(mock_config_entry).accounts.async_reconnect(
        SWING.account_id, 60
    )

    assert result.outcome is Outcome.NOT_DEPLOYED
    assert len(monitor.reconnects) == 1


async def test_not_deployed_and_removed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """An account that is removed while somebody waits for it is not looked up."""
    first = next(iter(mock_config_entry.subentries))
    reconnect = data_of(mock_config_entry).accounts.async_reconnect

    async def remove(account_id: str) -> ReconnectResult:
        hass.config_entries.async_remove_subentry(mock_config_entry, first)
        return NOT_DEPLOYED_RESULT

    monitor.on_reconnect = remove
    result = await reconnect(SWING.account_id, DEFAULT_TIMEOUT)

    assert result.outcome is Outcome.NOT_DEPLOYED
    provisioning.account.assert_not_called()


async def test_removed_while_it_is_looked_up(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """What is learnt of an account that was removed meanwhile is of no use."""
    first = next(iter(mock_config_entry.subentries))

    async def remove(_account_id: str) -> Account:
        hass.config_entries.async_remove_subentry(mock_config_entry, first)
        return SWING

    monitor.facts.clear()
    monitor.reconnect_results[SWING.account_id] = [NOT_DEPLOYED_RESULT]
    provisioning.account.side_effect = remove
    result = await data_of(mock_config_entry).accounts.async_reconnect(
        SWING.account_id, 60
    )

    assert result.outcome is Outcome.NOT_DEPLOYED
    assert monitor.facts == []


async def test_not_deployed_and_no_answer(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """The second look keeps to the caller's timeout."""

    async def hang(_account_id: str) -> None:
        await asyncio.Event().wait()

    monitor.reconnect_results[SWING.account_id] = [NOT_DEPLOYED_RESULT]
    provisioning.account.side_effect = hang

    result = await data_of(mock_config_entry).accounts.async_reconnect(
        SWING.account_id, 0.01
    )

    assert result.outcome is Outcome.NOT_DEPLOYED
    assert 0.01 <= result.seconds < 0.8


async def test_not_deployed_and_no_permission(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """A token that cannot use REST is not used there."""
    entry = make_entry(SWING, token=make_jwt(provisioning=False))
    await setup_entry(hass, entry)
    monitors[0].reconnect_results[SWING.account_id] = [NOT_DEPLOYED_RESULT]

    result = await data_of(entry).accounts.async_reconnect(SWING.account_id, 60)

    assert result.outcome is Outcome.NOT_DEPLOYED
    provisioning.account.assert_not_called()


# -- what a terminal wants to know ---------------------------------------------------------------


async def test_facts_that_a_terminal_wants(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """While a listing is not allowed yet, a few accounts are read singly, each once however often it asks."""
    provisioning.accounts.reset_mock()
    provisioning.account.side_effect = None
    provisioning.account.return_value = replace(
        SWING, connection_status="DISCONNECTED", reliability="high"
    )
    asked_at = hass.loop.time()
    for _ in range(3):
        monitor.on_facts_wanted(SWING.account_id)
    await pass_time(hass, REREAD_DELAY)
    provisioning.accounts.assert_not_called()
    provisioning.account.assert_awaited_once_with(SWING.account_id)
    connection, read_since, high_reliability = monitor.connections[SWING.account_id]
    assert (connection, high_reliability) == ("DISCONNECTED", True)
    assert read_since is not None
    assert read_since >= asked_at


async def test_facts_that_many_terminals_want(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """One listing answers all, as soon as MetaApi allows one."""
    provisioning.accounts.reset_mock()
    data_of(mock_config_entry).facts._pauses.listing = 0.0
    for account in (SWING, SCALP):
        monitor.on_facts_wanted(account.account_id)
    await pass_time(hass, REREAD_DELAY)
    assert provisioning.accounts.await_count == 1
    provisioning.account.assert_not_called()
    assert set(monitor.connections) == {SWING.account_id, SCALP.account_id}


async def test_nobody_answers_after_the_end(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """What was asked for before an unload is read no more."""
    monitor.on_facts_wanted(SWING.account_id)
    await hass.config_entries.async_unload(mock_config_entry.entry_id)
    provisioning.accounts.reset_mock()
    monitor.on_facts_wanted(SWING.account_id)
    await pass_time(hass, REREAD_DELAY)
    provisioning.accounts.assert_not_called()
    provisioning.account.assert_not_called()
