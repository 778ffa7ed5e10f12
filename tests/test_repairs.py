"""The fix flows of the repair issues, as the frontend drives them."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any
from unittest.mock import MagicMock

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.metaapi.api import NotFoundError
from custom_components.metaapi.const import DOMAIN
from custom_components.metaapi.repairs import MetaApiRepairFlow
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
    """Set up an entry, one of whose two accounts was deleted."""
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
    """Send a form and return what comes next."""
    response = await client.post(f"/api/repairs/issues/fix{path}", json=data)
    assert response.status == HTTPStatus.OK
    return await response.json()


def aborts(key: str) -> Any:
    """Return the texts for the ends of an issue's fix flow."""
    return TEXTS["issues"][key]["fix_flow"]["abort"]


async def open_form(hass: HomeAssistant, client: Client, key: str) -> Any:
    """Open the first form of an issue's fix flow; it has its texts."""
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
    """The account goes with its device and its entities, the other one stays."""
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
    """The repair needs nothing of ours to run."""
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
    """An account that lives is not removed."""
    result = await open_form(hass, client, "account_deleted")
    provisioning.accounts.return_value = [SWING, SCALP]
    await reread(hass)

    result = await post(client, f"/{result['flow_id']}", {})

    assert (result["type"], result["reason"]) == ("abort", "already_solved")
    assert aborts("account_deleted")["already_solved"]
    assert len(deleted.subentries) == 2


@pytest.mark.parametrize("what", ["account", "entry"])
async def test_removed_while_the_form_is_open(
    hass: HomeAssistant, client: Client, deleted: MockConfigEntry, what: str
) -> None:
    """What somebody else removed meanwhile needs no repair."""
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


async def test_new_token(
    hass: HomeAssistant,
    client: Client,
    expiring: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The repair leads to the form for a new token; once it is in, the issue is gone."""
    monkeypatch.setattr(
        "custom_components.metaapi.access.Provisioning",
        lambda *_: provisioning,
    )
    result = await open_form(hass, client, "token_expiring")
    assert result["description_placeholders"]["entry"] == "MetaApi"

    result = await post(client, f"/{result['flow_id']}", {})

    assert (result["type"], result["reason"]) == ("abort", "reconfigure")
    assert aborts("token_expiring")["reconfigure"]
    kind, flow_id = result["next_flow"]
    assert kind == "config_flow"
    assert set(issues(hass)) == {"token_expiring"}
    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["flow_id"] == flow_id
    assert flow["step_id"] == "reconfigure"
    assert flow["context"]["entry_id"] == expiring.entry_id

    new = make_jwt()
    response = await client.post(
        f"/api/config/config_entries/flow/{flow_id}", json={CONF_TOKEN: new}
    )
    assert (await response.json())["reason"] == "reconfigure_successful"
    await hass.async_block_till_done()

    assert expiring.data[CONF_TOKEN] == new
    assert monitors[-1].token == new
    assert issues(hass) == {}


async def test_new_token_asked_for_twice(
    hass: HomeAssistant, client: Client, expiring: MockConfigEntry
) -> None:
    """A form that was left open is opened again; there is never a second one."""
    opened = set()
    for _ in range(2):
        result = await open_form(hass, client, "token_expiring")
        result = await post(client, f"/{result['flow_id']}", {})
        opened.add(result["next_flow"][1])

    (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert opened == {flow["flow_id"]}


async def test_new_token_while_other_forms_are_open(
    hass: HomeAssistant, client: Client, expiring: MockConfigEntry
) -> None:
    """The form of another entry, and one that asks for something else, are left alone."""
    other = make_entry(title="Other", unique_id="other")
    other.add_to_hass(hass)
    opened = {
        (await entry.start_reauth_flow(hass))["flow_id"] for entry in (expiring, other)
    } | {(await other.start_reconfigure_flow(hass))["flow_id"]}

    result = await open_form(hass, client, "token_expiring")
    result = await post(client, f"/{result['flow_id']}", {})

    flow = hass.config_entries.flow.async_get(result["next_flow"][1])
    assert flow["flow_id"] not in opened
    assert flow["context"]["entry_id"] == expiring.entry_id
    assert flow["context"]["source"] == "reconfigure"


async def test_another_issue_about_an_account(
    hass: HomeAssistant, client: Client, deleted: MockConfigEntry
) -> None:
    """Only the issue that says so removes an account, whatever another one is about."""
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
    """A fix flow without a fix cannot be made."""
    with pytest.raises(TypeError):
        MetaApiRepairFlow("entry")  # type: ignore[abstract]


async def test_new_token_was_entered_while_the_form_was_open(
    hass: HomeAssistant, client: Client, expiring: MockConfigEntry
) -> None:
    """Then there is nothing left to do."""
    result = await open_form(hass, client, "token_expiring")
    hass.config_entries.async_update_entry(expiring, data={CONF_TOKEN: make_jwt()})
    await hass.config_entries.async_reload(expiring.entry_id)

    result = await post(client, f"/{result['flow_id']}", {})

    assert (result["type"], result["reason"]) == ("abort", "already_solved")
    assert aborts("token_expiring")["already_solved"]
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)
