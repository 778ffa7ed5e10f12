"""What changes lead to: another listing, the log, a new token."""

from dataclasses import replace
import logging
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi.api import AccountState, CannotConnectError, Status
from custom_components.metaapi.const import (
    DOMAIN,
    REREAD_DELAY,
    REREAD_INTERVAL,
    REREAD_PAUSE,
)
from homeassistant.config_entries import ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    make_entry,
    pass_time,
    setup_entry,
)


@pytest.mark.usefixtures("listed_long_ago")
@pytest.mark.parametrize(
    ("change", "rereads"),
    [
        pytest.param((CONNECTED, DISCONNECTED), 1, id="off"),
        pytest.param(
            (
                AccountState(),
                AccountState(terminal=False, status=Status.NEVER_AUTHENTICATED),
            ),
            1,
            id="never on",
        ),
        pytest.param(
            (CONNECTED, AccountState(available=False, status=Status.NOT_FOUND)),
            1,
            id="not found",
        ),
        pytest.param((NO_CONNECTION, CONNECTED), 1, id="back in sight"),
        pytest.param((NO_CONNECTION, DISCONNECTED), 1, id="back in sight and off"),
        pytest.param(
            (CONNECTED, AccountState(terminal=False, status=Status.NOT_DEPLOYED)),
            0,
            id="off because REST said so",
        ),
        pytest.param((CONNECTED, NO_CONNECTION), 0, id="out of sight"),
        pytest.param(
            (replace(DISCONNECTED, timeouts=3), replace(DISCONNECTED, timeouts=4)),
            0,
            id="four timeouts",
        ),
        pytest.param(
            (replace(DISCONNECTED, timeouts=4), replace(DISCONNECTED, timeouts=5)),
            1,
            id="five timeouts",
        ),
        pytest.param(
            (replace(DISCONNECTED, timeouts=5), replace(DISCONNECTED, timeouts=6)),
            0,
            id="six timeouts",
        ),
        pytest.param(
            (
                AccountState(available=False, timeouts=9),
                AccountState(available=False, timeouts=10),
            ),
            1,
            id="ten timeouts",
        ),
        pytest.param(
            (
                DISCONNECTED,
                AccountState(terminal=False, status=Status.RECONNECT_FAILED),
            ),
            0,
            id="off for another reason",
        ),
        pytest.param(
            (
                CONNECTED,
                AccountState(
                    terminal=True, broker=False, status=Status.BROKER_DISCONNECTED
                ),
            ),
            0,
            id="broker",
        ),
    ],
)
async def test_quick_reread(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    provisioning: MagicMock,
    change: tuple[AccountState, AccountState],
    rereads: int,
) -> None:
    """Facts that may explain a change are read soon after it."""
    before, after = change
    monitor.push(SWING.account_id, before)
    await pass_time(hass, REREAD_PAUSE)
    provisioning.accounts.reset_mock()
    monitor._states[SCALP.account_id] = CONNECTED

    monitor.push(SWING.account_id, after)
    assert provisioning.accounts.call_count == 0
    await pass_time(hass, REREAD_PAUSE)

    assert provisioning.accounts.call_count == rereads


@pytest.mark.usefixtures("listed_long_ago")
async def test_reread_after_a_gap(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """What happened at MetaApi while the link was away is read when it is back."""
    provisioning.accounts.reset_mock()
    monitor.push_link(False)
    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 0

    monitor.push_link(True)
    await pass_time(hass, REREAD_DELAY)

    assert provisioning.accounts.call_count == 1


async def test_account_changes_while_it_is_removed(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """What a socket still tells of it, before its monitor lets it go, is heard without a fault."""
    subentry_id = list(mock_config_entry.subentries)[1]
    remove_account = monitor.remove_account

    async def told_first(*args: Any, **kwargs: Any) -> None:
        monitor.push(SCALP.account_id, DISCONNECTED)
        await remove_account(*args, **kwargs)

    with patch.object(monitor, "remove_account", told_first):
        hass.config_entries.async_remove_subentry(mock_config_entry, subentry_id)
        await hass.async_block_till_done()

    assert monitor.removed == [SCALP.account_id]


def link_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log says, and forget it."""
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("custom_components.metaapi")
        and record.levelno > logging.DEBUG
    ]
    assert [
        record.getMessage()
        for record in caplog.records
        if record.levelno > logging.INFO
        # on a busy machine the loop says which step took long
        and not (record.name == "asyncio" and record.msg.startswith("Executing "))
    ] == []
    caplog.clear()
    return lines


async def test_log(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line when the link is lost, one when it is back, and nothing else."""
    await setup_entry(hass, mock_config_entry)
    monitor = monitors[0]
    caplog.clear()
    with caplog.at_level(logging.INFO, "custom_components.metaapi"):
        monitor.push_link(True)
        assert link_lines(caplog) == []
        for account in (SWING, SCALP):
            monitor.push(account.account_id, NO_CONNECTION)
        monitor.push_link(False)
        monitor.push_link(False)
        assert link_lines(caplog) == ["MetaApi: the connection to MetaApi is lost"]
        monitor.push_link(True)
        monitor.push_link(True)
        for account in (SWING, SCALP):
            monitor.push(account.account_id, CONNECTED)
        assert link_lines(caplog) == ["MetaApi: the connection to MetaApi is back"]


async def test_log_of_a_title_of_two_lines(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What an entry is called forges no line of the log."""
    provisioning.accounts.side_effect = CannotConnectError("down")
    entry = make_entry(SWING, title="Home\nERROR (MainThread) [forged] line")
    with caplog.at_level(logging.INFO, "custom_components.metaapi"):
        await setup_entry(hass, entry)
        monitors[0].push_link(False)
        monitors[0].push_link(False, token_refused=True)
        monitors[0].push_link(True)

    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("custom_components.metaapi")
        and record.levelno > logging.DEBUG
    ]
    assert len(lines) == 5
    assert not [line for line in lines if "\n" in line]


async def test_log_of_a_link_that_never_came_up(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sockets that do not open from the start are worth the same line."""
    await setup_entry(hass, mock_config_entry)
    caplog.clear()
    with caplog.at_level(logging.INFO, "custom_components.metaapi"):
        monitors[0].push_link(False)

    assert link_lines(caplog) == ["MetaApi: the connection to MetaApi is lost"]


def reauth_flow(hass: HomeAssistant) -> ConfigFlowResult:
    """Return the only form that is open, which asks for a new token."""
    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["context"]["source"] == "reauth"
    return flow


async def test_token_refused_while_running(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It asks for a new token, one form at a time, says so in one line, and ends the listings."""
    caplog.clear()
    provisioning.accounts.reset_mock()
    with caplog.at_level(logging.INFO, "custom_components.metaapi"):
        monitor.push_link(False, token_refused=True)
        await hass.async_block_till_done()
        monitor.push_link(False, token_refused=True)
        await hass.async_block_till_done()

        flow = reauth_flow(hass)
        await pass_time(hass, REREAD_INTERVAL)
        assert reauth_flow(hass)["flow_id"] == flow["flow_id"]

        # A person closes it: it is back with the next poll, and not before
        hass.config_entries.flow.async_abort(flow["flow_id"])
        monitor.push_link(False, token_refused=True)
        monitor.push(SWING.account_id, DISCONNECTED)
        await hass.async_block_till_done()
        assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)
        await pass_time(hass, 2 * REREAD_INTERVAL)
        assert reauth_flow(hass)["flow_id"] != flow["flow_id"]

        assert provisioning.accounts.call_count == 0
        assert link_lines(caplog) == ["MetaApi: MetaApi refuses the token"]


async def test_token_refused_while_an_abandoned_form_is_open(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """A form to reconfigure the entry that somebody left open does not swallow the request for a new token."""
    await mock_config_entry.start_reconfigure_flow(hass)

    monitor.push_link(False, token_refused=True)
    await hass.async_block_till_done()

    flow = reauth_flow(hass)
    # Who wants to enter the token there may, and is not disturbed
    await mock_config_entry.start_reconfigure_flow(hass)
    await pass_time(hass, REREAD_INTERVAL)
    assert {
        one["context"]["source"]: one["flow_id"]
        for one in hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    }.items() >= {("reauth", flow["flow_id"])}
    assert len(hass.config_entries.flow.async_progress_by_handler(DOMAIN)) == 2


async def test_forms_of_other_entries_stay(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """Only a form of this entry is in the way."""
    other = make_entry(title="Other", unique_id="other")
    other.add_to_hass(hass)
    opened = await other.start_reconfigure_flow(hass)
    adding = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": "user"}
    )

    monitor.push_link(False, token_refused=True)
    await hass.async_block_till_done()
    monitor.push_link(True)

    assert {
        one["flow_id"]
        for one in hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    } == {opened["flow_id"], adding["flow_id"]}


async def test_token_accepted_again(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All goes on by itself: the form closes, the facts are read, and nobody is asked any more."""
    monitor.push_link(False, token_refused=True)
    await hass.async_block_till_done()
    assert reauth_flow(hass)
    provisioning.accounts.reset_mock()
    caplog.clear()

    with caplog.at_level(logging.INFO, "custom_components.metaapi"):
        monitor.push_link(True)
        await hass.async_block_till_done()
        assert link_lines(caplog) == ["MetaApi: MetaApi accepts the token again"]
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert not [issue for issue in ir.async_get(hass).issues if "reauth" in issue[1]]

    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 1
    await pass_time(hass, REREAD_INTERVAL)
    assert provisioning.accounts.call_count == 2
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)

    # And a second refusal is one like the first
    monitor.push_link(False, token_refused=True)
    await hass.async_block_till_done()
    assert reauth_flow(hass)


async def test_form_that_something_else_opened(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """A form for a new token closes with the next listing for which MetaApi takes the old one."""
    mock_config_entry.async_start_reauth(hass)
    await hass.async_block_till_done()
    assert reauth_flow(hass)

    await pass_time(hass, REREAD_INTERVAL)

    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)


async def test_unload_ends_asking_for_a_token(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """An entry that was unloaded asks for nothing."""
    monitor.push_link(False, token_refused=True)
    await hass.async_block_till_done()
    hass.config_entries.flow.async_abort(reauth_flow(hass)["flow_id"])
    assert await hass.config_entries.async_unload(mock_config_entry.entry_id)

    await pass_time(hass, REREAD_INTERVAL)

    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)
