"""Facts by REST, names, the log, a refused token."""

import asyncio
from dataclasses import replace
from datetime import timedelta
import logging
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
)

from custom_components.metaapi.api.errors import (
    CannotConnectError,
    ForbiddenError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
)
from custom_components.metaapi.api.link import LinkState
from custom_components.metaapi.api.model import Account, Replica, Status
from custom_components.metaapi.api.reconnect import Outcome, ReconnectResult
from custom_components.metaapi.const import (
    DOMAIN,
    REREAD_DELAY,
    REREAD_INTERVAL,
    REREAD_PAUSE,
)
from custom_components.metaapi.coordinator import SINGLE_READS, MetaApiCoordinator
from homeassistant.config_entries import ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.util import dt as dt_util
from simulator import make_jwt

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    device_of,
    entry_state,
    make_entry,
    setup_entry,
    value,
)
from .flow_support import account as numbered

UNDEPLOYED = replace(SWING, state="UNDEPLOYED")
NOT_DEPLOYED_RESULT = ReconnectResult(Outcome.NOT_DEPLOYED, 0.0)


async def pass_time(hass: HomeAssistant, delta: timedelta) -> None:
    """Let the clock go on, and what is due happen."""
    async_fire_time_changed(hass, dt_util.utcnow() + delta + timedelta(seconds=1))
    await hass.async_block_till_done(wait_background_tasks=True)


def coordinator_of(entry: MockConfigEntry) -> MetaApiCoordinator:
    """Return the coordinator of a loaded entry."""
    coordinator: MetaApiCoordinator = entry.runtime_data
    return coordinator


@pytest.fixture
def listed_long_ago(monitor: FakeMonitor, mock_config_entry: MockConfigEntry) -> None:
    """Make the last listing an old one."""
    coordinator_of(mock_config_entry)._list_not_before -= 3600


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


async def test_account_that_metaapi_does_not_know(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """Only what the listing lacks and cannot be read singly either is gone."""
    provisioning.accounts.return_value = [SWING]
    provisioning.account.side_effect = NotFoundError("gone")

    await setup_entry(hass, mock_config_entry)

    provisioning.account.assert_called_once_with(SCALP.account_id)
    assert monitors[0].facts == [
        (SWING.account_id, True, True),
        (SCALP.account_id, None, False),
    ]


@pytest.mark.parametrize("error", [ForbiddenError("no"), CannotConnectError("down")])
async def test_account_that_cannot_be_read(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    error: Exception,
) -> None:
    """An account that the listing lacks is not called gone without a proof."""
    provisioning.accounts.return_value = [SWING]
    provisioning.account.side_effect = error

    await setup_entry(hass, mock_config_entry)

    assert monitors[0].facts == [(SWING.account_id, True, True)]
    assert device_of(hass, mock_config_entry, SCALP.account_id).model is None


async def test_accounts_that_the_listing_lacks_do_not_wait_for_each_other(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """Many are read at a time, and after a refusal no more of them."""
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


async def test_account_that_only_the_single_read_knows(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """A replica is in no listing, and can be read all the same."""
    provisioning.accounts.return_value = [SWING]
    provisioning.account.return_value = SCALP

    await setup_entry(hass, mock_config_entry)

    assert (SCALP.account_id, True, True) in monitors[0].facts
    assert (
        device_of(hass, mock_config_entry, SCALP.account_id).model == "MT4 · cloud-g1"
    )


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
        patch("custom_components.metaapi.coordinator.AT_ONCE", 1),
        patch.object(monitor, "set_facts", set_facts),
    ):
        await pass_time(hass, REREAD_INTERVAL)

    assert coordinator_of(mock_config_entry).last_update_success
    assert monitor.facts == [(SWING.account_id, True, True)]
    assert monitor.removed == [SCALP.account_id]


async def test_account_that_cannot_be_read_any_more(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """Of such an account nothing new is said."""
    monitor.facts.clear()
    provisioning.accounts.return_value = [SWING]
    provisioning.account.side_effect = ForbiddenError("no")

    await pass_time(hass, REREAD_INTERVAL)

    assert monitor.facts == [(SWING.account_id, True, True)]


async def test_account_deleted_and_then_unreadable(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """An old proof is none for today."""
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
    """An account that is gone may come back."""
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
@pytest.mark.parametrize(
    ("change", "rereads"),
    [
        pytest.param((CONNECTED, DISCONNECTED), 1, id="off"),
        pytest.param(
            (LinkState(), LinkState(terminal=False, status=Status.NEVER_AUTHENTICATED)),
            1,
            id="never on",
        ),
        pytest.param(
            (CONNECTED, LinkState(available=False, status=Status.NOT_FOUND)),
            1,
            id="not found",
        ),
        pytest.param((NO_CONNECTION, CONNECTED), 1, id="back in sight"),
        pytest.param((NO_CONNECTION, DISCONNECTED), 1, id="back in sight and off"),
        pytest.param(
            (CONNECTED, LinkState(terminal=False, status=Status.NOT_DEPLOYED)),
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
                LinkState(available=False, timeouts=9),
                LinkState(available=False, timeouts=10),
            ),
            1,
            id="ten timeouts",
        ),
        pytest.param(
            (DISCONNECTED, LinkState(terminal=False, status=Status.RECONNECT_FAILED)),
            0,
            id="off for another reason",
        ),
        pytest.param(
            (
                CONNECTED,
                LinkState(
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
    change: tuple[LinkState, LinkState],
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
    monitor.push_hub(False)
    await pass_time(hass, REREAD_PAUSE)
    assert provisioning.accounts.call_count == 0

    monitor.push_hub(True)
    await pass_time(hass, REREAD_DELAY)

    assert provisioning.accounts.call_count == 1


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

    await coordinator_of(mock_config_entry).async_refresh()
    await pass_time(hass, REREAD_PAUSE)

    assert provisioning.accounts.call_count == 1


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
    """However often accounts come and go, a refusal is given its time."""
    provisioning.accounts.side_effect = error
    await coordinator_of(mock_config_entry).async_refresh()
    provisioning.accounts.reset_mock(side_effect=True)

    with patch(
        "custom_components.metaapi.coordinator.async_call_later"
    ) as async_call_later:
        monitor.push(SWING.account_id, DISCONNECTED)

    delay = async_call_later.call_args.args[1]
    assert seconds - 2 < delay <= seconds


@pytest.mark.usefixtures("monitor")
@pytest.mark.parametrize("single", [False, True])
async def test_the_poll_waits_as_long_as_metaapi_asks(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
    single: bool,
) -> None:
    """Half an hour is two polls; after it, they come as before."""
    error = TooManyRequestsError("slow down", metadata={"retryAfter": "1800"})
    if single:
        accounts = provisioning.accounts.return_value
        provisioning.accounts.return_value = []
        provisioning.account.side_effect = error
    else:
        provisioning.accounts.side_effect = error
    await coordinator_of(mock_config_entry).async_refresh()
    provisioning.accounts.reset_mock(side_effect=True)
    if single:
        provisioning.accounts.return_value = accounts

    await pass_time(hass, timedelta(minutes=29, seconds=57))
    assert provisioning.accounts.call_count == 0
    await pass_time(hass, timedelta(minutes=30, seconds=2))
    assert provisioning.accounts.call_count == 1
    await pass_time(hass, REREAD_INTERVAL)
    assert provisioning.accounts.call_count == 2


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


async def test_one_listing_a_minute(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """However often accounts come and go, a minute passes between listings."""
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


async def test_no_reread_without_permission(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """A token that cannot list accounts is not asked to, whatever happens."""
    entry = make_entry(SWING, token=make_jwt(provisioning=False))
    await setup_entry(hass, entry)

    monitors[0].push(SWING.account_id, DISCONNECTED)

    assert coordinator_of(entry)._cancel_reread is None
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
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """After an unload nothing is read."""
    coordinator = coordinator_of(mock_config_entry)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await hass.config_entries.async_unload(mock_config_entry.entry_id)
    coordinator.async_request_reread()
    assert coordinator._cancel_reread is None

    with patch.object(coordinator, "async_refresh") as refresh:
        await pass_time(hass, REREAD_INTERVAL)

    refresh.assert_not_called()


# -- names and places --------------------------------------------------------------------------


async def test_renamed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """Device and subentry follow a new name; entity ids stay."""
    provisioning.accounts.return_value = [replace(SWING, name="Long term"), SCALP]

    await pass_time(hass, REREAD_INTERVAL)

    assert device_of(hass, mock_config_entry, SWING.account_id).name == "Long term"
    assert next(iter(mock_config_entry.subentries.values())).title == "Long term"
    state = hass.states.get("binary_sensor.swing_terminal")
    assert state is not None
    assert state.name == "Long term Terminal"


async def test_renamed_after_the_user_named_it(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """The user's own names win."""
    device = device_of(hass, mock_config_entry, SWING.account_id)
    dr.async_get(hass).async_update_device(device.id, name_by_user="Mine")
    subentry = next(iter(mock_config_entry.subentries.values()))
    hass.config_entries.async_update_subentry(
        mock_config_entry, subentry, title="My own"
    )
    provisioning.accounts.return_value = [replace(SWING, name="Long term"), SCALP]

    await pass_time(hass, REREAD_INTERVAL)

    device = device_of(hass, mock_config_entry, SWING.account_id)
    assert (device.name, device.name_by_user) == ("Long term", "Mine")
    assert subentry.title == "My own"
    state = hass.states.get("binary_sensor.swing_terminal")
    assert state is not None
    assert state.name == "Mine Terminal"


async def test_names_outlive_a_set_up_without_facts(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """While MetaApi says nothing of an account, its device and the user's title stay as they are."""
    subentry = next(iter(mock_config_entry.subentries.values()))
    hass.config_entries.async_update_subentry(
        mock_config_entry, subentry, title="My own"
    )
    provisioning.accounts.return_value = [SCALP]
    provisioning.account.side_effect = CannotConnectError("down")
    await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()
    for accounts in ([SCALP], [SWING, SCALP]):
        provisioning.accounts.return_value = accounts
        await coordinator_of(mock_config_entry).async_refresh()
        device = device_of(hass, mock_config_entry, SWING.account_id)
        assert (device.name, device.model) == ("Swing", "MT5 · cloud-g2")
        assert subentry.title == "My own"


@pytest.mark.parametrize("name", ["", "90210", "💰"])
async def test_name_that_says_nothing(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    name: str,
) -> None:
    """An account without a name that has letters goes by its id."""
    account = replace(SWING, name=name)
    provisioning.accounts.return_value = [account]
    entry = make_entry(account)

    await setup_entry(hass, entry)

    assert device_of(hass, entry, SWING.account_id).name == SWING.account_id


async def test_moved(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """An account that moved to another region is watched there, without a reload."""
    provisioning.accounts.return_value = [replace(SWING, region="singapore"), SCALP]

    await pass_time(hass, REREAD_INTERVAL)

    assert len(monitors) == 1
    assert monitor.regions == {
        SWING.account_id: "singapore",
        SCALP.account_id: "new-york",
    }
    subentry = next(iter(mock_config_entry.subentries.values()))
    assert subentry.data["region"] == "singapore"


async def test_region_not_told(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """What is known of a region stays while REST tells none."""
    provisioning.accounts.return_value = [replace(SWING, region=""), SCALP]

    await pass_time(hass, REREAD_INTERVAL)

    assert monitor.regions[SWING.account_id] == "london"
    subentry = next(iter(mock_config_entry.subentries.values()))
    assert subentry.data["region"] == "london"


@pytest.mark.parametrize(
    ("account", "model"),
    [
        (SWING, "MT5 · cloud-g2"),
        (replace(SWING, version=None), "cloud-g2"),
        (replace(SWING, type=""), "MT5"),
        (replace(SWING, type="", version=None), None),
    ],
)
async def test_model(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    account: Account,
    model: str | None,
) -> None:
    """The device says what kind of account it is, as far as that is known."""
    provisioning.accounts.return_value = [account]
    entry = make_entry(account)

    await setup_entry(hass, entry)

    assert device_of(hass, entry, SWING.account_id).model == model


# -- the link to MetaApi -----------------------------------------------------------------------


def link_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log says, and forget it."""
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("custom_components.metaapi")
        and record.levelno > logging.DEBUG
    ]
    assert all(record.levelno <= logging.INFO for record in caplog.records)
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
        monitor.push_hub(True)
        assert link_lines(caplog) == []
        for account in (SWING, SCALP):
            monitor.push(account.account_id, NO_CONNECTION)
        monitor.push_hub(False)
        monitor.push_hub(False)
        assert link_lines(caplog) == ["MetaApi: the connection to MetaApi is lost"]
        monitor.push_hub(True)
        monitor.push_hub(True)
        for account in (SWING, SCALP):
            monitor.push(account.account_id, CONNECTED)
        assert link_lines(caplog) == ["MetaApi: the connection to MetaApi is back"]


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
        monitors[0].push_hub(False)

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
        monitor.push_hub(False, token_refused=True)
        await hass.async_block_till_done()
        monitor.push_hub(False, token_refused=True)
        await hass.async_block_till_done()

        flow = reauth_flow(hass)
        await pass_time(hass, REREAD_INTERVAL)
        assert reauth_flow(hass)["flow_id"] == flow["flow_id"]

        # A person closes it: it is back with the next poll, and not before
        hass.config_entries.flow.async_abort(flow["flow_id"])
        monitor.push_hub(False, token_refused=True)
        monitor.push(SWING.account_id, DISCONNECTED)
        await hass.async_block_till_done()
        assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)
        await pass_time(hass, 2 * REREAD_INTERVAL)
        assert reauth_flow(hass)["flow_id"] != flow["flow_id"]

        assert provisioning.accounts.call_count == 0
        assert link_lines(caplog) == ["MetaApi: MetaApi refuses the token"]


async def test_unload_ends_asking_for_a_token(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """An entry that was unloaded asks for nothing."""
    monitor.push_hub(False, token_refused=True)
    await hass.async_block_till_done()
    hass.config_entries.flow.async_abort(reauth_flow(hass)["flow_id"])
    assert await hass.config_entries.async_unload(mock_config_entry.entry_id)

    await pass_time(hass, REREAD_INTERVAL)

    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)


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
    provisioning.account.return_value = SWING
    provisioning.accounts.reset_mock()

    result = await coordinator_of(mock_config_entry).async_reconnect(
        SWING.account_id, 60
    )

    assert result.outcome is Outcome.AUTHENTICATED
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

    result = await coordinator_of(mock_config_entry).async_reconnect(
        SWING.account_id, 60
    )

    assert result.outcome is Outcome.NOT_DEPLOYED
    assert len(monitor.reconnects) == 1


@pytest.mark.parametrize("listing", [False, True])
async def test_not_deployed_and_a_rest(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
    listing: bool,
) -> None:
    """However often a person presses, MetaApi has the rest that it asked for."""
    coordinator = coordinator_of(mock_config_entry)
    monitor.reconnect_results[SWING.account_id] = [NOT_DEPLOYED_RESULT] * 20
    error = TooManyRequestsError("slow down", metadata={"retryAfter": "1800"})
    provisioning.account.side_effect = error
    if listing:
        provisioning.accounts.side_effect = error
        await coordinator.async_refresh()

    for _ in range(10):
        await coordinator.async_reconnect(SWING.account_id, 60)
    assert provisioning.account.call_count == (0 if listing else 1)

    coordinator._rest_until -= 1800
    await coordinator.async_reconnect(SWING.account_id, 60)
    assert provisioning.account.call_count == (1 if listing else 2)


async def test_not_deployed_and_removed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """An account that is removed while somebody waits for it is not looked up."""
    first = next(iter(mock_config_entry.subentries))
    reconnect = coordinator_of(mock_config_entry).async_reconnect

    async def remove(*_args: object) -> ReconnectResult:
        hass.config_entries.async_remove_subentry(mock_config_entry, first)
        return NOT_DEPLOYED_RESULT

    with patch.object(monitor, "reconnect", remove):
        result = await reconnect(SWING.account_id, 60)

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
    result = await coordinator_of(mock_config_entry).async_reconnect(
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

    result = await coordinator_of(mock_config_entry).async_reconnect(
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

    result = await coordinator_of(entry).async_reconnect(SWING.account_id, 60)

    assert result.outcome is Outcome.NOT_DEPLOYED
    provisioning.account.assert_not_called()
