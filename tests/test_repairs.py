"""Test the fix flows of the repair issues, with the frontend's API."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any
from unittest.mock import MagicMock

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.metaapi.api import (
    CannotConnectError,
    NotFoundError,
    UnauthorizedError,
)
from custom_components.metaapi.const import DOMAIN
from custom_components.metaapi.repairs import MetaApiRepairFlow
from custom_components.metaapi.texts import async_expiry_text
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import (
    device_registry as dr,
    entity_registry as er,
    issue_registry as ir,
)
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from simulator import make_jwt

from .conftest import SCALP, SWING, FakeMonitor, make_entry, setup_entry
from .flow_support import TEXTS, placeholders
from .test_issues import issues, reread

type Client = Any


@pytest.fixture
async def client(hass: HomeAssistant, hass_client: ClientSessionGenerator) -> Client:
    """Return a client of the frontend's API."""
    assert await async_setup_component(hass, "repairs", {})
    assert await async_setup_component(hass, "config", {})
    return await hass_client()


@pytest.fixture
async def deleted(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> MockConfigEntry:
    """Set up an entry with two accounts, one of which was deleted."""
    provisioning.accounts.return_value = [SCALP]
    provisioning.account.side_effect = NotFoundError("gone")
    await setup_entry(hass, mock_config_entry)
    return mock_config_entry


@pytest.fixture
async def expiring(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> MockConfigEntry:
    """Set up an entry whose token expires soon."""
    tomorrow = int((dt_util.utcnow() + timedelta(days=1)).timestamp())
    entry = make_entry(SWING, SCALP, token=make_jwt(expires=tomorrow))
    await setup_entry(hass, entry)
    return entry


async def post(client: Client, path: str, data: dict[str, Any]) -> Any:
    """Submit a form and return the next step."""
    response = await client.post(f"/api/repairs/issues/fix{path}", json=data)
    assert response.status == HTTPStatus.OK
    return await response.json()


def aborts(key: str) -> Any:
    """Return the texts of the abort reasons of an issue's fix flow."""
    return TEXTS["issues"][key]["fix_flow"]["abort"]


async def open_form(hass: HomeAssistant, client: Client, key: str) -> Any:
    """Open the first form of an issue's fix flow, and check its texts."""
    issue = issues(hass)[key]
    result = await post(client, "", {"handler": DOMAIN, "issue_id": issue.issue_id})
    assert result["type"] == "form"
    assert result["step_id"] == "confirm"
    texts = TEXTS["issues"][key]["fix_flow"]["step"]["confirm"]
    for text in (texts["title"], texts["description"]):
        assert placeholders(text) <= set(result["description_placeholders"])
    return result


async def test_remove_deleted_account(
    hass: HomeAssistant, client: Client, deleted: MockConfigEntry
) -> None:
    """The account is removed with its device and entities; the other one stays."""
    result = await open_form(hass, client, "account_deleted")
    assert len(deleted.subentries) == 2

    result = await post(client, f"/{result['flow_id']}", {})
    await hass.async_block_till_done()

    assert result["type"] == "create_entry"
    assert [one.unique_id for one in deleted.subentries.values()] == [SCALP.account_id]
    assert issues(hass) == {}
    registry = dr.async_get(hass)
    assert (
        registry.async_get_device_by_identifier(
            (DOMAIN, SWING.account_id), deleted.entry_id
        )
        is None
    )
    entities = er.async_entries_for_config_entry(er.async_get(hass), deleted.entry_id)
    assert not [one for one in entities if SWING.account_id in one.unique_id]


async def test_remove_deleted_account_of_an_entry_that_does_not_work(
    hass: HomeAssistant, client: Client, deleted: MockConfigEntry
) -> None:
    """The repair works while the entry is not loaded."""
    assert await hass.config_entries.async_unload(deleted.entry_id)
    result = await open_form(hass, client, "account_deleted")

    result = await post(client, f"/{result['flow_id']}", {})

    assert result["type"] == "create_entry"
    assert len(deleted.subentries) == 1


async def test_account_is_back_while_the_form_is_open(
    hass: HomeAssistant,
    client: Client,
    deleted: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """An account that exists again is not removed."""
    result = await open_form(hass, client, "account_deleted")
    provisioning.accounts.return_value = [SWING, SCALP]
    await reread(hass)

    result = await post(client, f"/{result['flow_id']}", {})

    assert (result["type"], result["reason"]) == ("abort", "already_solved")
    assert aborts("account_deleted")["already_solved"]
    assert len(deleted.subentries) == 2


HOSTILE = "[Free money](https://evil.example) **now**\nERROR forged <script>"
SHOWN = r"\[Free money\]\(https\://evil\.example\) \*\*now\*\* ERROR forged \<script\>"


async def test_name_is_text(
    hass: HomeAssistant,
    client: Client,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """The name is shown literally, on one line, in the repair and in the list."""
    provisioning.accounts.return_value = [SCALP]
    provisioning.account.side_effect = NotFoundError("gone")
    mock_config_entry.add_to_hass(hass)
    hass.config_entries.async_update_subentry(
        mock_config_entry,
        next(iter(mock_config_entry.subentries.values())),
        title=HOSTILE,
    )
    await hass.config_entries.async_setup(mock_config_entry.entry_id)
    await hass.async_block_till_done()

    result = await open_form(hass, client, "account_deleted")

    assert result["description_placeholders"]["account"] == SHOWN
    assert result["description_placeholders"]["name"] == HOSTILE.replace("\n", " ")


@pytest.mark.parametrize("what", ["account", "entry"])
async def test_removed_while_the_form_is_open(
    hass: HomeAssistant, client: Client, deleted: MockConfigEntry, what: str
) -> None:
    """An account that was removed meanwhile needs no repair."""
    result = await open_form(hass, client, "account_deleted")
    if what == "account":
        hass.config_entries.async_remove_subentry(
            deleted, next(iter(deleted.subentries))
        )
    else:
        await hass.config_entries.async_remove(deleted.entry_id)
    await hass.async_block_till_done()

    result = await post(client, f"/{result['flow_id']}", {})

    assert (result["type"], result["reason"]) == ("abort", "already_solved")
    assert aborts("account_deleted")["already_solved"]


@pytest.fixture
def flow_client(provisioning: MagicMock, monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """Use the entry's provisioning API in the repair as well."""
    monkeypatch.setattr(
        "custom_components.metaapi.access.Provisioning", lambda *_: provisioning
    )
    return provisioning


async def test_new_token(
    hass: HomeAssistant,
    client: Client,
    expiring: MockConfigEntry,
    monitors: list[FakeMonitor],
    flow_client: MagicMock,
) -> None:
    """The repair accepts the token, closes other forms, and the issue is gone."""
    result = await open_form(hass, client, "token_expiring")
    assert result["description_placeholders"]["name"] == "MetaApi"
    assert [field["name"] for field in result["data_schema"]] == [CONF_TOKEN]
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)

    new = make_jwt()
    result = await post(client, f"/{result['flow_id']}", {CONF_TOKEN: f" {new}\n"})
    await hass.async_block_till_done()

    assert (result["type"], result["reason"]) == ("abort", "token_replaced")
    assert placeholders(aborts("token_expiring")["token_replaced"]) == {"expires"}
    assert result["description_placeholders"]["expires"] == async_expiry_text(hass, new)
    assert expiring.data[CONF_TOKEN] == new
    assert len(monitors) == 2
    assert monitors[-1].token == new
    assert issues(hass) == {}
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)


async def test_new_token_that_expires_soon_as_well(
    hass: HomeAssistant,
    client: Client,
    expiring: MockConfigEntry,
    flow_client: MagicMock,
) -> None:
    """The token is used, and has an issue of its own."""
    result = await open_form(hass, client, "token_expiring")
    soon = int((dt_util.utcnow() + timedelta(days=2)).timestamp())
    new = make_jwt(expires=soon)

    result = await post(client, f"/{result['flow_id']}", {CONF_TOKEN: new})
    await hass.async_block_till_done()

    assert result["reason"] == "token_replaced"
    assert expiring.data[CONF_TOKEN] == new
    assert set(issues(hass)) == {"token_expiring"}


@pytest.mark.parametrize(
    ("token", "error", "field", "key"),
    [
        (make_jwt(), UnauthorizedError("no"), "base", "invalid_auth"),
        (make_jwt(), CannotConnectError("no"), "base", "cannot_connect"),
        ("", None, "base", "invalid_auth"),
        (make_jwt(expires=1), None, CONF_TOKEN, "token_expired"),
        (make_jwt(owner="somebody else"), None, CONF_TOKEN, "wrong_account"),
    ],
)
async def test_new_token_fails(
    hass: HomeAssistant,
    client: Client,
    expiring: MockConfigEntry,
    flow_client: MagicMock,
    token: str,
    error: Exception | None,
    field: str,
    key: str,
) -> None:
    """The form shows the error, does not keep the token, and accepts another one."""
    result = await open_form(hass, client, "token_expiring")
    flow_client.accounts.side_effect = error

    result = await post(client, f"/{result['flow_id']}", {CONF_TOKEN: token})

    assert (result["type"], result["errors"]) == ("form", {field: key})
    text = TEXTS["issues"]["token_expiring"]["fix_flow"]["error"][key]
    assert placeholders(text) <= set(result["description_placeholders"])
    assert token not in str(result) or not token
    assert set(issues(hass)) == {"token_expiring"}

    flow_client.accounts.side_effect = None
    result = await post(client, f"/{result['flow_id']}", {CONF_TOKEN: make_jwt()})
    await hass.async_block_till_done()
    assert result["reason"] == "token_replaced"


async def test_token_refused_after_the_repair_was_left(
    hass: HomeAssistant,
    client: Client,
    expiring: MockConfigEntry,
    monitors: list[FakeMonitor],
) -> None:
    """A repair that was closed does not block the request for a new token."""
    result = await open_form(hass, client, "token_expiring")
    await post(client, f"/{result['flow_id']}", {CONF_TOKEN: ""})

    monitors[-1].push_link(False, token_refused=True)
    await hass.async_block_till_done()

    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["context"]["source"] == "reauth"
    assert flow["context"]["entry_id"] == expiring.entry_id


async def test_another_issue_about_an_account(
    hass: HomeAssistant, client: Client, deleted: MockConfigEntry
) -> None:
    """Only the issue about a deleted account removes it."""
    ir.async_create_issue(
        hass,
        DOMAIN,
        "something_else",
        data={
            "entry_id": deleted.entry_id,
            "subentry_id": next(iter(deleted.subentries)),
        },
        is_fixable=True,
        severity=ir.IssueSeverity.WARNING,
        translation_key="something_else",
    )
    result = await post(client, "", {"handler": DOMAIN, "issue_id": "something_else"})
    while result["type"] == "form":
        result = await post(client, f"/{result['flow_id']}", {})
    await hass.async_block_till_done()

    assert len(deleted.subentries) == 2
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)


def test_every_repair_fixes() -> None:
    """A fix flow without a fix cannot be created."""
    with pytest.raises(TypeError):
        MetaApiRepairFlow("entry")  # type: ignore[abstract]


async def test_new_token_was_entered_while_the_form_was_open(
    hass: HomeAssistant, client: Client, expiring: MockConfigEntry
) -> None:
    """Nothing is left to do then."""
    result = await open_form(hass, client, "token_expiring")
    hass.config_entries.async_update_entry(expiring, data={CONF_TOKEN: make_jwt()})
    await hass.config_entries.async_reload(expiring.entry_id)

    result = await post(client, f"/{result['flow_id']}", {CONF_TOKEN: make_jwt()})

    assert (result["type"], result["reason"]) == ("abort", "already_solved")
    assert aborts("token_expiring")["already_solved"]
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)
