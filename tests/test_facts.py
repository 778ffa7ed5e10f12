"""Test reading accounts by REST, with the pauses that MetaApi requests."""

import asyncio
from datetime import timedelta
from unittest.mock import MagicMock, patch

import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
)

from custom_components.metaapi.api import (
    Account,
    CannotConnectError,
    ForbiddenError,
    NotFoundError,
    Outcome,
    ReconnectResult,
    TooManyRequestsError,
    UnauthorizedError,
)
from custom_components.metaapi.const import REREAD_INTERVAL, REREAD_PAUSE
from custom_components.metaapi.facts import SINGLE_READS
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    SCALP,
    SWING,
    FakeMonitor,
    data_of,
    device_of,
    entry_state,
    make_entry,
    pass_time,
    setup_entry,
)
from .flow_support import account as numbered

NOT_DEPLOYED_RESULT = ReconnectResult(Outcome.NOT_DEPLOYED, 0.0)


async def test_unknown_account(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """An account is gone only if it is not listed and cannot be read individually."""
    provisioning.accounts.return_value = [SWING]
    provisioning.account.side_effect = NotFoundError("gone")

    await setup_entry(hass, mock_config_entry)

    provisioning.account.assert_called_once_with(SCALP.account_id)
    assert monitors[0].facts == [
        (SWING.account_id, True, True),
        (SCALP.account_id, None, False),
    ]


async def test_account_that_is_not_listed(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """A replica is not listed, but can be read individually."""
    provisioning.accounts.return_value = [SWING]
    provisioning.account.return_value = SCALP

    await setup_entry(hass, mock_config_entry)

    assert (SCALP.account_id, True, True) in monitors[0].facts
    assert (
        device_of(hass, mock_config_entry, SCALP.account_id).model
        == "MetaTrader 4 · Broker-Live"
    )


@pytest.mark.parametrize("error", [ForbiddenError("no"), CannotConnectError("down")])
async def test_account_that_cannot_be_read(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    error: Exception,
) -> None:
    """A missing account is not gone without evidence."""
    provisioning.accounts.return_value = [SWING]
    provisioning.account.side_effect = error

    await setup_entry(hass, mock_config_entry)

    assert monitors[0].facts == [(SWING.account_id, True, True)]
    assert device_of(hass, mock_config_entry, SCALP.account_id).model is None


async def test_account_that_cannot_be_read_any_more(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """Its facts stay as they are."""
    monitor.facts.clear()
    provisioning.accounts.return_value = [SWING]
    provisioning.account.side_effect = ForbiddenError("no")

    await pass_time(hass, REREAD_INTERVAL)

    assert monitor.facts == [(SWING.account_id, True, True)]


async def test_account_deleted_and_then_unreadable(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """Old evidence does not count."""
    provisioning.accounts.return_value = [SWING]
    provisioning.account.side_effect = NotFoundError("gone")
    await pass_time(hass, REREAD_INTERVAL)
    assert monitor.facts[-1] == (SCALP.account_id, None, False)
    monitor.facts.clear()
    provisioning.account.side_effect = CannotConnectError("down")

    await pass_time(hass, REREAD_INTERVAL)

    assert monitor.facts == [(SWING.account_id, True, True)]


async def test_account_deleted_and_back(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """An account that is gone may return."""
    monitor.facts.clear()
    provisioning.accounts.return_value = [SWING]
    provisioning.account.side_effect = NotFoundError("gone")
    await pass_time(hass, REREAD_INTERVAL)
    provisioning.accounts.return_value = [SWING, SCALP]
    await pass_time(hass, REREAD_INTERVAL)

    assert [facts for facts in monitor.facts if facts[0] == SCALP.account_id] == [
        (SCALP.account_id, None, False),
        (SCALP.account_id, True, True),
    ]


async def test_accounts_that_are_not_listed(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """Several are read at a time, and none after a refusal."""
    accounts = [numbered(number) for number in range(2 * SINGLE_READS)]
    entry = make_entry(*accounts)
    provisioning.accounts.return_value = []
    waiting = 0
    full = asyncio.Event()

    async def read(_account_id: str) -> Account:
        nonlocal waiting
        waiting += 1
        if waiting == SINGLE_READS:
            full.set()
        await full.wait()
        raise TooManyRequestsError("slow down")

    provisioning.account.side_effect = read
    await setup_entry(hass, entry)

    assert entry_state(entry) is ConfigEntryState.LOADED
    assert waiting == SINGLE_READS


async def test_one_listing_a_minute(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """At most one listing per minute is sent, however often accounts change."""
    assert timedelta(minutes=1) == REREAD_PAUSE
    provisioning.accounts.reset_mock()

    for _ in range(5):
        monitor.push(SWING.account_id, DISCONNECTED)
        monitor.push(SWING.account_id, CONNECTED)
        await pass_time(hass, timedelta(seconds=50))
    assert provisioning.accounts.call_count == 0

    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 1
    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 1


@pytest.mark.usefixtures("listed_long_ago")
async def test_one_listing_at_a_time(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """The next listing waits for a slow one."""
    answer = asyncio.Event()
    listed = provisioning.accounts.return_value

    async def accounts() -> list[Account]:
        await answer.wait()
        return list(listed)

    provisioning.accounts.reset_mock()
    provisioning.accounts.side_effect = accounts
    monitor.push(SWING.account_id, DISCONNECTED)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=2))
    await asyncio.sleep(0)
    assert provisioning.accounts.call_count == 1

    monitor.push(SCALP.account_id, DISCONNECTED)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=20))
    await asyncio.sleep(0)
    assert provisioning.accounts.call_count == 1

    answer.set()
    await hass.async_block_till_done(wait_background_tasks=True)
    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 2


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (CannotConnectError("down"), 60),
        (ForbiddenError("no"), 300),
        (UnauthorizedError("no"), 300),
        (TooManyRequestsError("slow down"), 300),
        (TooManyRequestsError("slow down", metadata={"retryAfter": "20"}), 300),
        (TooManyRequestsError("slow down", metadata={"retryAfter": "600"}), 600),
    ],
)
async def test_quick_reread_after_a_refusal(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
    error: Exception,
    seconds: int,
) -> None:
    """The requested pause is kept, however often accounts change."""
    provisioning.accounts.side_effect = error
    await data_of(mock_config_entry).facts.async_read()
    provisioning.accounts.reset_mock(side_effect=True)

    with patch("custom_components.metaapi.facts.async_call_later") as async_call_later:
        monitor.push(SWING.account_id, DISCONNECTED)

    delay = async_call_later.call_args.args[1]
    assert seconds - 2 < delay <= seconds


@pytest.mark.usefixtures("monitor")
@pytest.mark.parametrize("single", [False, True])
async def test_poll_keeps_the_requested_pause(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
    single: bool,
) -> None:
    """Half an hour takes two polls; after it, they go on as before."""
    error = TooManyRequestsError("slow down", metadata={"retryAfter": "1800"})
    if single:
        accounts = provisioning.accounts.return_value
        provisioning.accounts.return_value = []
        provisioning.account.side_effect = error
    else:
        provisioning.accounts.side_effect = error
    await data_of(mock_config_entry).facts.async_read()
    provisioning.accounts.reset_mock(side_effect=True)
    if single:
        provisioning.accounts.return_value = accounts

    await pass_time(hass, timedelta(minutes=29, seconds=57))
    assert provisioning.accounts.call_count == 0
    await pass_time(hass, timedelta(minutes=30, seconds=2))
    assert provisioning.accounts.call_count == 1
    await pass_time(hass, REREAD_INTERVAL)
    assert provisioning.accounts.call_count == 2


def refuse_reads(monitor: FakeMonitor, provisioning: MagicMock) -> TooManyRequestsError:
    """Make each reconnect read the account, and MetaApi request a pause of half an hour; return the error."""
    monitor.reconnect_results[SWING.account_id] = [NOT_DEPLOYED_RESULT] * 20
    error = TooManyRequestsError("slow down", metadata={"retryAfter": "1800"})
    provisioning.account.side_effect = error
    return error


async def test_scheduled_poll_keeps_the_pause(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """A pause that was requested after a press also applies to the poll."""
    data = data_of(mock_config_entry)
    refuse_reads(monitor, provisioning)
    await data.facts.async_read()
    provisioning.accounts.reset_mock()
    for _ in range(3):
        await data.accounts.async_reconnect(SWING.account_id, 60)
    assert provisioning.account.call_count == 1
    assert data.facts.accounts[SWING.account_id] == SWING

    await pass_time(hass, timedelta(minutes=29, seconds=57))
    assert provisioning.accounts.call_count == 0
    await pass_time(hass, timedelta(minutes=30, seconds=2))
    assert provisioning.accounts.call_count == 1
    await pass_time(hass, REREAD_INTERVAL)
    assert provisioning.accounts.call_count == 2


async def test_scheduled_quick_reread_keeps_the_pause(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """It waits as well, and is not forgotten."""
    data = data_of(mock_config_entry)
    refuse_reads(monitor, provisioning)
    await data.facts.async_read()
    provisioning.accounts.reset_mock()
    data.facts.async_read_soon()
    with patch(
        "custom_components.metaapi.facts.async_call_later",
        wraps=async_call_later,
    ) as scheduled:
        await data.accounts.async_reconnect(SWING.account_id, 60)
    assert 1798 < scheduled.call_args.args[1] <= 1800

    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 0
    await pass_time(hass, timedelta(minutes=30, seconds=2))
    assert provisioning.accounts.call_count == 1


@pytest.mark.parametrize("listing", [False, True])
async def test_not_deployed_during_a_pause(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
    listing: bool,
) -> None:
    """The requested pause is kept, however often a user presses the button."""
    data = data_of(mock_config_entry)
    error = refuse_reads(monitor, provisioning)
    if listing:
        provisioning.accounts.side_effect = error
        await data.facts.async_read()

    for _ in range(10):
        await data.accounts.async_reconnect(SWING.account_id, 60)
    assert provisioning.account.call_count == (0 if listing else 1)

    data.facts._pauses.asking -= 1800
    await data.accounts.async_reconnect(SWING.account_id, 60)
    assert provisioning.account.call_count == (1 if listing else 2)
