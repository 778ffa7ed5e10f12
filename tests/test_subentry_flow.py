"""Test the flows of subentries: add an account, change its region."""

from collections.abc import Iterator
from dataclasses import replace
import logging
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec, patch

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
import pytest_socket

from custom_components.metaapi.api import (
    Account,
    CannotConnectError,
    ForbiddenError,
    InternalError,
    MetaApiError,
    NotFoundError,
    Provisioning,
    ServerSettings,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
    Zone,
)
from custom_components.metaapi.const import (
    CONF_ACCOUNT_ID,
    CONF_API_URL,
    CONF_REGION,
    DOMAIN,
    SUBENTRY_ACCOUNT,
)
from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_USER,
    ConfigEntryState,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from simulator import Simulator, make_jwt

from .conftest import SCALP, SWING, TOKEN, FakeMonitor, make_entry, setup_entry
from .flow_support import account, check_texts, options, suggested

LIMITED_TOKEN = make_jwt(provisioning=False)
TYPED = "44444444-aaaa-4bbb-8ccc-000000000004"
GOLD = account(1, name="Gold", region="london")
GLOBAL = Zone("https://mt-client-api-v1.agiliumtrade.agiliumtrade.ai")
SINGAPORE = Zone(
    "https://mt-client-api-v1.singapore-a.agiliumtrade.ai", "singapore", instance=0
)


@pytest.fixture(autouse=True)
def texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the texts of every form and abort."""
    check_texts(monkeypatch)


@pytest.fixture
def client() -> Iterator[MagicMock]:
    """Replace the provisioning API of the flow; it lists three accounts."""
    client: MagicMock = create_autospec(Provisioning, instance=True)
    client.accounts.return_value = [SWING, SCALP, GOLD]
    client.account.side_effect = NotFoundError("no such account")
    client.server_settings.return_value = ServerSettings()
    with patch(
        "custom_components.metaapi.access.Provisioning", return_value=client
    ) as cls:
        client.cls = cls
        yield client


@pytest.fixture
def subscribe() -> Iterator[MagicMock]:
    """Replace the subscribe that validates a token; it succeeds."""
    with patch("custom_components.metaapi.access.try_subscribe", autospec=True) as mock:
        yield mock


@pytest.fixture
async def entry(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    client: MagicMock,
    subscribe: MagicMock,
) -> MockConfigEntry:
    """Set up an entry with one account."""
    # A region that MetaApi reports cannot be changed
    provisioning.accounts.return_value = [replace(SWING, region=""), SCALP, GOLD]
    provisioning.account.side_effect = NotFoundError("no such account")
    entry = make_entry(SWING)
    await setup_entry(hass, entry)
    assert entry.state is ConfigEntryState.LOADED
    return entry


async def start(hass: HomeAssistant, entry: MockConfigEntry) -> Any:
    """Start the flow that adds an account."""
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, SUBENTRY_ACCOUNT), context={"source": SOURCE_USER}
    )


async def submit(hass: HomeAssistant, result: Any, **user_input: Any) -> Any:
    """Submit a form."""
    assert result["type"] is FlowResultType.FORM
    return await hass.config_entries.subentries.async_configure(
        result["flow_id"], user_input
    )


def subentry_of(entry: MockConfigEntry, account_id: str) -> Any:
    """Return the subentry of an account."""
    return next(
        subentry
        for subentry in entry.subentries.values()
        if subentry.unique_id == account_id
    )


# -- add an account ----------------------------------------------------------------------


async def test_add_account(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    client: MagicMock,
    monitors: list[FakeMonitor],
) -> None:
    """Accounts that no entry has are offered; the selected one is watched."""
    make_entry(SCALP, unique_id="another").add_to_hass(hass)
    result = await start(hass, entry)
    assert result["step_id"] == "user"
    assert options(result["data_schema"], CONF_ACCOUNT_ID) == {
        GOLD.account_id: "Gold · london · deployed"
    }
    assert CONF_REGION not in result["data_schema"].schema
    selector = result["data_schema"].schema[CONF_ACCOUNT_ID].config
    assert not selector["multiple"]
    assert not selector["custom_value"]

    result = await submit(hass, result, account_id=GOLD.account_id)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    subentry = subentry_of(entry, GOLD.account_id)
    assert subentry.title == "Gold"
    assert subentry.subentry_type == SUBENTRY_ACCOUNT
    assert subentry.data == {CONF_ACCOUNT_ID: GOLD.account_id, CONF_REGION: "london"}
    client.accounts.assert_awaited_once()
    await hass.async_block_till_done()
    assert set(monitors[0].regions) == {SWING.account_id, GOLD.account_id}
    assert len(monitors) == 1


async def test_hundreds_of_accounts(
    hass: HomeAssistant, entry: MockConfigEntry, client: MagicMock
) -> None:
    """All accounts that no entry has can be selected, sorted by name."""
    client.accounts.return_value = [SWING, *map(account, reversed(range(300)))]
    result = await start(hass, entry)
    offered = options(result["data_schema"], CONF_ACCOUNT_ID)
    assert list(offered) == [account(number).account_id for number in range(300)]
    assert result["data_schema"].schema[CONF_ACCOUNT_ID].config["mode"] == "dropdown"

    result = await submit(hass, result, account_id=account(299).account_id)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


async def test_entry_is_not_loaded(hass: HomeAssistant, client: MagicMock) -> None:
    """No account can be added to an entry that is not loaded."""
    entry = make_entry(SWING)
    entry.add_to_hass(hass)
    result = await start(hass, entry)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "entry_not_loaded"
    client.accounts.assert_not_called()


async def test_no_accounts_left(
    hass: HomeAssistant, entry: MockConfigEntry, client: MagicMock
) -> None:
    """There is no form without an account to offer."""
    client.accounts.return_value = [SWING]
    result = await start(hass, entry)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "no_accounts_left"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CannotConnectError("no"), "cannot_connect"),
        (InternalError("no"), "answered_with_error"),
        (TooManyRequestsError("no"), "too_many_requests"),
        (RuntimeError(f"a bug with {TOKEN}"), "unknown"),
    ],
)
async def test_listing_fails(
    hass: HomeAssistant,
    *,
    entry: MockConfigEntry,
    client: MagicMock,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    reason: str,
) -> None:
    """There is no form without the list; a later flow can succeed."""
    client.accounts.side_effect = error
    result = await start(hass, entry)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == reason
    assert TOKEN not in caplog.text
    assert not hass.config_entries.flow.async_progress()

    client.accounts.side_effect = None
    result = await submit(hass, await start(hass, entry), account_id=GOLD.account_id)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


async def test_token_is_refused(
    hass: HomeAssistant, entry: MockConfigEntry, client: MagicMock
) -> None:
    """A refused token starts the reauth flow."""
    client.accounts.side_effect = UnauthorizedError("no")
    result = await start(hass, entry)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "invalid_auth"
    await hass.async_block_till_done()
    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["context"]["source"] == SOURCE_REAUTH


@pytest.mark.parametrize("typed", [SWING.account_id, f" {SWING.account_id.upper()} "])
async def test_account_is_configured(
    hass: HomeAssistant, entry: MockConfigEntry, client: MagicMock, typed: str
) -> None:
    """A typed account that an entry has is refused."""
    client.accounts.return_value = []
    result = await submit(hass, await start(hass, entry), account_id=typed)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"
    client.account.assert_not_called()


async def test_account_was_added_meanwhile(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    """The second of two forms with the same account is refused."""
    first = await start(hass, entry)
    second = await start(hass, entry)
    result = await submit(hass, first, account_id=GOLD.account_id)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    result = await submit(hass, second, account_id=GOLD.account_id)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"


@pytest.mark.parametrize(
    ("typed", "error", "errors"),
    [
        (TYPED, NotFoundError("no"), {CONF_ACCOUNT_ID: "account_not_found"}),
        (TYPED, ForbiddenError("no"), {CONF_ACCOUNT_ID: "forbidden"}),
        (TYPED, ValidationError("no"), {CONF_ACCOUNT_ID: "invalid_account_id"}),
        (TYPED, UnauthorizedError("no"), {"base": "invalid_auth"}),
        (TYPED, CannotConnectError("no"), {"base": "cannot_connect"}),
        (TYPED, TooManyRequestsError("no"), {"base": "too_many_requests"}),
        (TYPED, RuntimeError("no"), {"base": "unknown"}),
        ("Gold", None, {CONF_ACCOUNT_ID: "invalid_account_id"}),
        ("", None, {CONF_ACCOUNT_ID: "invalid_account_id"}),
    ],
)
async def test_typed_id(
    hass: HomeAssistant,
    *,
    entry: MockConfigEntry,
    client: MagicMock,
    subscribe: MagicMock,
    typed: str,
    error: Exception | None,
    errors: dict[str, str],
) -> None:
    """If nothing is listed, a typed id is read by REST, and again after an error."""
    client.accounts.return_value = []
    client.account.side_effect = error
    result = await start(hass, entry)
    assert list(result["data_schema"].schema) == [CONF_ACCOUNT_ID, CONF_REGION]
    result = await submit(hass, result, account_id=typed)
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == errors
    assert suggested(result["data_schema"]) == {CONF_ACCOUNT_ID: typed}

    client.account.side_effect = None
    client.account.return_value = replace(GOLD, account_id=TYPED, name="Hidden")
    result = await submit(hass, result, account_id=TYPED)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    client.accounts.assert_awaited_once()
    subentry = subentry_of(entry, TYPED)
    assert subentry.title == "Hidden"
    assert subentry.data[CONF_REGION] == "london"
    subscribe.assert_not_called()
    await hass.async_block_till_done()


# -- tokens that may not list accounts ---------------------------------------------------


@pytest.mark.parametrize(
    ("region", "kept", "zone"),
    [
        (None, "", GLOBAL),
        ("", "", GLOBAL),
        (" Singapore ", "singapore", SINGAPORE),
    ],
)
async def test_limited_token(
    hass: HomeAssistant,
    *,
    entry: MockConfigEntry,
    client: MagicMock,
    subscribe: MagicMock,
    region: str | None,
    kept: str,
    zone: Zone,
) -> None:
    """Without a list, id and region are typed, and validated by a subscribe in that region."""
    client.accounts.side_effect = ForbiddenError("no")
    client.server_settings.side_effect = UnauthorizedError("no")
    result = await start(hass, entry)
    assert list(result["data_schema"].schema) == [CONF_ACCOUNT_ID, CONF_REGION]
    typed = {} if region is None else {CONF_REGION: region}
    result = await submit(hass, result, account_id=f" {TYPED} ", **typed)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    subscribe.assert_awaited_once()
    assert subscribe.await_args.args[1:] == (TOKEN, zone, TYPED)
    subentry = subentry_of(entry, TYPED)
    assert subentry.title == TYPED
    assert subentry.data == {CONF_ACCOUNT_ID: TYPED, CONF_REGION: kept}
    await hass.async_block_till_done()


@pytest.mark.parametrize(
    ("region", "error", "errors"),
    [
        ("new york", None, {CONF_REGION: "invalid_region"}),
        ("evil.example/", None, {CONF_REGION: "invalid_region"}),
        ("-a", None, {CONF_REGION: "invalid_region"}),
        ("london", NotFoundError("no"), {CONF_ACCOUNT_ID: "account_not_in_region"}),
        ("london", UnauthorizedError("no"), {"base": "invalid_auth"}),
        ("nowhere", CannotConnectError("no"), {"base": "cannot_connect"}),
    ],
)
async def test_limited_token_fails(
    hass: HomeAssistant,
    *,
    entry: MockConfigEntry,
    client: MagicMock,
    subscribe: MagicMock,
    region: str,
    error: MetaApiError | None,
    errors: dict[str, str],
) -> None:
    """Each error is shown, the typed values stay, and the next try can succeed."""
    client.accounts.side_effect = ForbiddenError("no")
    subscribe.side_effect = error
    typed = {CONF_ACCOUNT_ID: TYPED, CONF_REGION: region}
    result = await submit(hass, await start(hass, entry), **typed)
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == errors
    assert suggested(result["data_schema"]) == typed
    assert subscribe.call_count == (0 if error is None else 1)

    subscribe.side_effect = None
    result = await submit(hass, result, account_id=TYPED)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


# -- change the region -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "region", "zone"),
    [
        ({CONF_REGION: "Singapore"}, "singapore", SINGAPORE),
        ({CONF_REGION: ""}, "", GLOBAL),
        ({}, "", GLOBAL),
    ],
)
async def test_change_region(
    hass: HomeAssistant,
    *,
    entry: MockConfigEntry,
    subscribe: MagicMock,
    monitors: list[FakeMonitor],
    typed: dict[str, str],
    region: str,
    zone: Zone,
) -> None:
    """Another region is validated, stored, and used after one reload."""
    subentry = subentry_of(entry, SWING.account_id)
    result = await entry.start_subentry_reconfigure_flow(hass, subentry.subentry_id)
    assert result["step_id"] == "reconfigure"
    assert result["description_placeholders"]["name"] == "Swing"
    assert suggested(result["data_schema"]) == {CONF_REGION: "london"}
    result = await submit(hass, result, **typed)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "reconfigure_successful"
    assert subscribe.await_args.args[1:] == (TOKEN, zone, SWING.account_id)
    assert subentry_of(entry, SWING.account_id).data == {
        CONF_ACCOUNT_ID: SWING.account_id,
        CONF_REGION: region,
    }
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    assert len(monitors) == 2
    assert monitors[-1].regions == {SWING.account_id: region}


async def test_region_server_of_the_user(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    client: MagicMock,
    subscribe: MagicMock,
) -> None:
    """The user's own server settings are used."""
    client.server_settings.return_value = ServerSettings(domain="example.ai")
    subentry = subentry_of(entry, SWING.account_id)
    result = await entry.start_subentry_reconfigure_flow(hass, subentry.subentry_id)
    await submit(hass, result, region="singapore")
    assert subscribe.await_args.args[2].url == (
        "https://mt-client-api-v1.singapore-a.example.ai"
    )
    await hass.async_block_till_done()


@pytest.mark.parametrize(
    ("data", "region", "state"),
    [
        ({}, "london", ConfigEntryState.NOT_LOADED),
        (
            {CONF_API_URL: "https://proxy.example"},
            "singapore",
            ConfigEntryState.LOADED,
        ),
    ],
)
async def test_region_on_the_same_server(
    hass: HomeAssistant,
    *,
    client: MagicMock,
    subscribe: MagicMock,
    data: dict[str, str],
    region: str,
    state: ConfigEntryState,
) -> None:
    """A region on the same server is not validated; without a change there is no reload."""
    entry = make_entry(SWING, data=data)
    entry.add_to_hass(hass)
    subentry = subentry_of(entry, SWING.account_id)
    result = await entry.start_subentry_reconfigure_flow(hass, subentry.subentry_id)
    with patch("custom_components.metaapi.async_setup_entry", return_value=True):
        result = await submit(hass, result, region=region)
        await hass.async_block_till_done()
    assert result["reason"] == "reconfigure_successful"
    assert subentry_of(entry, SWING.account_id).data[CONF_REGION] == region
    subscribe.assert_not_called()
    client.cls.assert_not_called()
    assert entry.state is state


async def test_region_from_metaapi(
    hass: HomeAssistant, entry: MockConfigEntry, provisioning: MagicMock
) -> None:
    """It is only shown, since the next listing would undo a change; an unknown region can be typed."""
    provisioning.accounts.return_value = [SWING]
    await entry.runtime_data.facts.async_read()
    subentry = subentry_of(entry, SWING.account_id)

    result = await entry.start_subentry_reconfigure_flow(hass, subentry.subentry_id)
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "facts"
    assert result["data_schema"].schema == {}
    assert result["description_placeholders"] == {
        "name": "Swing",
        "login": "90210",
        "platform": "MetaTrader 5",
        "server": r"Broker\-Live",
        "region": "london",
        "state": "deployed",
        "type": r"cloud\-g2",
    }
    result = await submit(hass, result)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "nothing_changed"

    provisioning.accounts.return_value = [
        Account(account_id=SWING.account_id, name="Swing", region="[london](x)")
    ]
    await entry.runtime_data.facts.async_read()
    result = await entry.start_subentry_reconfigure_flow(hass, subentry.subentry_id)
    assert result["description_placeholders"] == {
        "name": "Swing",
        "login": "—",
        "platform": "—",
        "server": "—",
        "region": r"\[london\]\(x\)",
        "state": "—",
        "type": "—",
    }

    assert await hass.config_entries.async_unload(entry.entry_id)
    result = await entry.start_subentry_reconfigure_flow(hass, subentry.subentry_id)
    assert result["type"] is FlowResultType.FORM


@pytest.mark.parametrize(
    ("region", "error", "errors"),
    [
        ("new/york", None, {CONF_REGION: "invalid_region"}),
        ("nowhere", CannotConnectError("no"), {"base": "cannot_connect"}),
        ("new-york", NotFoundError("no"), {"base": "account_not_in_region"}),
        ("new-york", UnauthorizedError("no"), {"base": "invalid_auth"}),
        ("new-york", RuntimeError(TOKEN), {"base": "unknown"}),
    ],
)
async def test_change_region_fails(
    hass: HomeAssistant,
    *,
    entry: MockConfigEntry,
    subscribe: MagicMock,
    caplog: pytest.LogCaptureFixture,
    region: str,
    error: Exception | None,
    errors: dict[str, str],
) -> None:
    """Each error is shown, and the next try can succeed."""
    subscribe.side_effect = error
    subentry = subentry_of(entry, SWING.account_id)
    result = await entry.start_subentry_reconfigure_flow(hass, subentry.subentry_id)
    result = await submit(hass, result, region=region)
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == errors
    assert suggested(result["data_schema"]) == {CONF_REGION: region}
    assert subentry_of(entry, SWING.account_id).data[CONF_REGION] == "london"
    assert TOKEN not in caplog.text

    subscribe.side_effect = None
    result = await submit(hass, result, region="new-york")
    assert result["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()


# -- against the simulator ---------------------------------------------------------------


@pytest.fixture
def loopback(socket_enabled: None) -> None:
    """Allow connections to this machine."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"])


@pytest.fixture
def mock_setup_entry() -> Iterator[AsyncMock]:
    """Prevent the set-up of entries; they count as loaded."""
    with patch(
        "custom_components.metaapi.async_setup_entry", return_value=True
    ) as mock:
        yield mock


async def test_add_account_with_simulator(
    hass: HomeAssistant, loopback: None, mock_setup_entry: AsyncMock
) -> None:
    """The remaining accounts are offered, and one is added."""
    async with Simulator(accounts=3) as sim:
        first, second, third = (
            Account(account_id=item.id, name=item.name, region=item.region)
            for item in sim.accounts.values()
        )
        entry = make_entry(first, token=sim.token, data={CONF_API_URL: sim.url})
        await setup_entry(hass, entry)
        result = await start(hass, entry)
        assert set(options(result["data_schema"], CONF_ACCOUNT_ID)) == {
            second.account_id,
            third.account_id,
        }
        result = await submit(hass, result, account_id=second.account_id)
        assert result["type"] is FlowResultType.CREATE_ENTRY
        subentry = subentry_of(entry, second.account_id)
        assert subentry.title == second.name
        assert subentry.data[CONF_REGION] == second.region


async def test_limited_token_with_simulator(
    hass: HomeAssistant,
    loopback: None,
    mock_setup_entry: AsyncMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A typed account is validated by a real subscribe."""
    caplog.set_level(logging.DEBUG)
    async with Simulator(accounts=1) as sim:
        token = sim.grant(provisioning=False)
        entry = make_entry(token=token, data={CONF_API_URL: sim.url})
        await setup_entry(hass, entry)
        result = await start(hass, entry)
        assert result["errors"] == {"base": "may_not_list"}
        result = await submit(hass, result, account_id=TYPED, region="london")
        assert result["errors"] == {CONF_ACCOUNT_ID: "account_not_in_region"}
        result = await submit(hass, result, account_id=sim.account.id)
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert subentry_of(entry, sim.account.id).data[CONF_REGION] == ""
        await sim.wait_for(lambda: not sim.sockets)
        assert token not in caplog.text
