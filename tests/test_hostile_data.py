"""Test hostile data from MetaApi's servers: nothing fails, is forged or leaks."""

from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
import json
import logging
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)

from custom_components.metaapi.const import DOMAIN
from homeassistant.components.diagnostics import DOMAIN as DIAGNOSTICS
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_TOKEN, STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.helpers import (
    device_registry as dr,
    entity_registry as er,
    issue_registry as ir,
    json as json_helper,
)
from homeassistant.setup import async_setup_component
from simulator import Simulator

from .conftest import entry_state, setup_entry, value
from .test_end_to_end import FAST, entry_for, reconnect, until, until_state

TERMINAL = "binary_sensor.swing_terminal"
EVIL = "https://evil.example"

HOSTILE: dict[str, Any] = {
    "half an emoji": "Rocket \ud83d",
    "200,000 characters": "x" * 200_000,
    "controls": "\x00\x07\x1b[31mred\r\nERROR (MainThread) [forged] line\u2028\u202egnp",
    "Markdown": f"[Free money]({EVIL}) **now** ![x]({EVIL}/x.png)\n# Title",
    "HTML": f"<script src='{EVIL}'></script><img src=x onerror=alert(1)>",
    "Jinja": "{{ states('sensor.x') }}{% raise %}{account}{0}",
    "an address many times": "a@b.c" * 8_000,
    "a number": 7,
    "a huge number": 10**400,
    "nothing": None,
    "a list": [[[]]],
    "an object": {"_id": {"$gt": ""}, "name": []},
    "true": True,
}

ARRIVES = {
    "half an emoji": "Rocket \N{REPLACEMENT CHARACTER}",
    "200,000 characters": "x" * 200,
    "Markdown": "[Free money]",
    "HTML": "<script src=",
    "Jinja": "{% raise %}",
}
"""What is shown of it all the same: else nothing would be tried."""


@pytest.fixture(autouse=True)
def fast() -> Iterator[None]:
    """Shorten all delays."""
    with patch("custom_components.metaapi.TIMING", FAST):
        yield


@pytest.fixture
async def sim(hass: HomeAssistant, socket_enabled: None) -> AsyncIterator[Simulator]:
    """Run a simulator with two accounts that are up."""
    async with Simulator(accounts=2, status_interval=0.05, ping_interval=0.2) as sim:
        yield sim


@pytest.fixture
async def entry(hass: HomeAssistant, sim: Simulator) -> AsyncIterator[MockConfigEntry]:
    """Set up an entry for the simulator's accounts, and unload it at the end."""
    entry = entry_for(sim)
    await setup_entry(hass, entry)
    await until_state(hass, TERMINAL, STATE_ON)
    yield entry
    await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done()


def listing(sim: Simulator, hostile: Any) -> str:
    """Return a listing with hostile values in all fields except the ids."""
    fields = (
        "name",
        "login",
        "server",
        "version",
        "type",
        "region",
        "state",
        "connectionStatus",
        "reliability",
    )
    replica = {"_id": hostile, "region": hostile, "state": hostile}
    return json.dumps(
        [
            {
                "_id": account_id,
                **dict.fromkeys(fields, hostile),
                "accountReplicas": [replica, hostile],
            }
            for account_id in sim.accounts
        ]
    )


def events(account_id: str, hostile: Any) -> Iterator[dict[str, Any]]:
    """Yield events of every type with hostile values in one field, and in all."""
    for kind in ("authenticated", "status", "disconnected", "synchronizationStarted"):
        event = {"type": kind, "accountId": account_id}
        for field in ("host", "instanceIndex", "sessionId", "replicas", "connected"):
            yield {**event, field: hostile}
        yield {
            **event,
            "host": hostile,
            "instanceIndex": hostile,
            "sessionId": hostile,
            "replicas": hostile,
            "connected": hostile,
            "authenticated": hostile,
        }
    yield {"type": hostile, "accountId": account_id}


async def read_everything(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
    entry: MockConfigEntry,
) -> str:
    """Return the contents of all stores, states, forms and files."""
    shown: list[str] = []
    # Home Assistant's own encoder, which refuses invalid text
    saved = [
        json_helper.json_bytes(registry._data_to_save()).decode()
        for registry in (
            dr.async_get(hass),
            er.async_get(hass),
            ir.async_get(hass),
            hass.config_entries,
        )
    ]
    # Only this file contains the token
    shown += [text.replace(entry.data[CONF_TOKEN], "") for text in saved]

    websocket = await hass_ws_client(hass)
    await websocket.send_json_auto_id({"type": "get_states"})
    states = await websocket.receive_json()
    assert states["success"]
    shown.append(json.dumps(states["result"], ensure_ascii=False))
    await websocket.send_json_auto_id({"type": "repairs/list_issues"})
    issues = await websocket.receive_json()
    assert issues["success"]
    shown.append(json.dumps(issues["result"], ensure_ascii=False))

    client = await hass_client()
    response = await client.get(f"/api/{DIAGNOSTICS}/config_entry/{entry.entry_id}")
    assert response.status == HTTPStatus.OK
    shown.append(await response.text())
    for path, form in (
        (
            "/api/config/config_entries/flow",
            {"handler": DOMAIN, "entry_id": entry.entry_id},
        ),
        (
            "/api/config/config_entries/subentries/flow",
            {"handler": [entry.entry_id, "account"]},
        ),
    ):
        response = await client.post(path, json=form)
        assert response.status == HTTPStatus.OK, await response.text()
        shown.append(await response.text())
    for issue in issues["result"]["issues"]:
        if issue["domain"] == DOMAIN and issue["is_fixable"]:
            response = await client.post(
                "/api/repairs/issues/fix",
                json={"handler": DOMAIN, "issue_id": issue["issue_id"]},
            )
            assert response.status == HTTPStatus.OK
            shown.append(await response.text())
    for flows in (hass.config_entries.flow, hass.config_entries.subentries):
        for flow in flows.async_progress():
            flows.async_abort(flow["flow_id"])
    return "\n".join(shown)


async def attack(hass: HomeAssistant, sim: Simulator, hostile: Any) -> Any:
    """Use a hostile value in every field of REST and of events; return the outcome of a reconnect."""
    facts = next(iter(hass.config_entries.async_entries(DOMAIN))).runtime_data.facts
    for status in (400, 404, 429, 500):
        body = json.dumps({"error": hostile, "message": hostile, "details": hostile})
        sim.fail_rest(status, body=body)
        await facts.async_read()
    sim.fail_rest(200, body=listing(sim, hostile))
    await facts.async_read()
    for event in events(sim.account.id, hostile):
        sim.inject_event(sim.account.id, event)
    text = hostile if isinstance(hostile, str) else "no"
    sim.set_reconnect_mode(sim.account.id, "refuse", error=text, details=hostile)
    return await reconnect(hass)


async def test_hostile_data(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
    sim: Simulator,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A running home survives each value, and works normally afterwards."""
    for component in ("config", "repairs", "diagnostics"):
        assert await async_setup_component(hass, component, {})
    caplog.clear()
    for name, hostile in HOSTILE.items():
        with caplog.at_level(logging.DEBUG, "custom_components.metaapi"):
            outcome = await attack(hass, sim, hostile)
            shown = await read_everything(hass, hass_client, hass_ws_client, entry)
        if name in ARRIVES:
            assert ARRIVES[name] in shown, name
        assert outcome["error"] is None or len(outcome["error"]) <= 256, name
        for forbidden in ("\ud83d", "x" * 300, "\x1b", "\x07", sim.token):
            assert forbidden not in shown, (name, forbidden[:20])
        for record in caplog.records:
            if record.name.startswith("custom_components.metaapi"):
                assert record.levelno < logging.ERROR, record.getMessage()
                assert record.getMessage().isprintable(), record.getMessage()
                assert sim.token not in record.getMessage()
        assert "Traceback" not in caplog.text, name

    sim.fail_rest(None)
    sim.set_reconnect_mode(sim.account.id, "accept")
    assert entry_state(entry) is ConfigEntryState.LOADED
    assert (await reconnect(hass))["outcome"] == "authenticated"
    await until(lambda: value(hass, TERMINAL) == STATE_ON)
