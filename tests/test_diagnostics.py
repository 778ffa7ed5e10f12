"""Test that diagnostics contain what happened, and no personal data."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import replace
from html import escape
import json
import time
from typing import Any
from unittest.mock import MagicMock, patch
from urllib.parse import quote, quote_plus

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.diagnostics import (
    get_diagnostics_for_config_entry,
    get_diagnostics_for_device,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from syrupy.assertion import SnapshotAssertion

from custom_components.metaapi.api import (
    InternalError,
    NotFoundError,
    Replica,
)
from custom_components.metaapi.const import (
    CONF_API_URL,
    CONF_APPLICATION,
    REREAD_INTERVAL,
)
from custom_components.metaapi.diagnostics import async_get_config_entry_diagnostics
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import STATE_ON, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryNotReady
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from simulator import SimAccount, Simulator, make_jwt

from .conftest import (
    OWNER,
    SCALP,
    SWING,
    TOKEN,
    FakeMonitor,
    device_of,
    entry_state,
    make_entry,
    pass_time,
    setup_entry,
)
from .test_end_to_end import FAST, entry_for, reconnect, until, until_state

VERSIONS = {"aiohttp", "python-engineio", "python-socketio"}

REPLICA = "5e6f7a8b-aaaa-4bbb-8ccc-0000000000aa"
PROFILE = "0f1e2d3c-aaaa-4bbb-8ccc-0000000000bb"
FIRST = replace(
    SWING,
    name='Jörg\'s Nest-Egg & "Co"',
    login="7654321",
    server="Hinterhof/Broker-Live 7",
    replicas=(Replica(account_id=REPLICA, region="singapore", state="DEPLOYED"),),
)
SECOND = replace(SCALP, name="Nest-Egg", login="8765432", server="Kontor-Demo")
APPLICATION = "Robot of Jörg"
HOST = "metaapi.nestegg.example"
URL = f"https://{HOST}:8443/for-jörg"
TITLE = "Müller's accounts"
SECRETS = {
    "token": TOKEN,
    "owner": OWNER,
    "first id": FIRST.account_id,
    "second id": SECOND.account_id,
    "replica": REPLICA,
    "profile": PROFILE,
    "first name": FIRST.name,
    "second name": SECOND.name,
    "first login": FIRST.login,
    "second login": SECOND.login,
    "first server": FIRST.server,
    "second server": SECOND.server,
    "title": TITLE,
    "subentry title": "What Jörg calls it",
    "device": "What the home calls it",
    "application": APPLICATION,
    "host": HOST,
    "mail": "jorg@nestegg.example",
}


def spellings(secret: str) -> set[str]:
    """Return the ways in which a secret may be written, in lower case."""
    quoted = quote(secret, safe="")
    written = {
        secret,
        quote(secret),
        quoted,
        quote(quoted, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        escape(secret),
    }
    return {one.casefold() for one in written}


def plant() -> list[str]:
    """Return texts with every secret in every spelling."""
    return [
        text
        for secret in SECRETS.values()
        for spelling in spellings(secret) | {secret}
        for text in (
            spelling,
            f"no {spelling}!",
            f"https://h.example/users/{spelling}?x={spelling}&y",
            f"<{spelling.upper()}>",
        )
    ]


def leaks(text: str) -> set[str]:
    """Return the secrets in a JSON text."""
    texts = "\n".join((text, *strings(json.loads(text)))).casefold()
    return {
        name
        for name, secret in SECRETS.items()
        if any(spelling in texts for spelling in spellings(secret))
    }


def strings(data: Any) -> Iterator[str]:
    """Yield every string in JSON data."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from strings(value)
    elif isinstance(data, list):
        for value in data:
            yield from strings(value)


async def download(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    entry: MockConfigEntry,
    device: dr.DeviceEntry | None = None,
) -> str:
    """Return the complete file that a user downloads."""
    assert await async_setup_component(hass, "diagnostics", {})
    client = await hass_client()
    path = f"/api/diagnostics/config_entry/{entry.entry_id}"
    if device is not None:
        path += f"/device/{device.id}"
    response = await client.get(path)
    assert response.status == 200
    text: str = await response.text()
    return text


def without_versions(data: Any) -> Any:
    """Return diagnostics without data that depends on the environment."""
    assert set(data["versions"]) == VERSIONS
    assert all(data["versions"].values())
    return {**data, "versions": None}


@pytest.fixture
def described(monitor: FakeMonitor) -> dict[str, Any]:
    """Give the monitor diagnostics like the client's."""
    monitor.described.update(
        reconnect_form="socket",
        sockets=[{"zone": "london-a", "state": "open", "last_error": None}],
        accounts=[
            {
                "account_id": account.account_id,
                "replicas": [],
                "zones": [{"zone": "london-a", "hosts": [{"host": "ps-mpa-1"}]}],
            }
            for account in (SWING, SCALP)
        ],
        events=[
            {"what": "socket open", "zone": "london-a"},
            {"what": "subscribe", "account_id": SWING.account_id},
            {"what": "subscribe", "account_id": SCALP.account_id},
        ],
    )
    return monitor.described


async def test_entry(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    described: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    snapshot: SnapshotAssertion,
) -> None:
    """The diagnostics of an entry contain everything."""
    data = await get_diagnostics_for_config_entry(hass, hass_client, mock_config_entry)

    assert without_versions(data) == snapshot


async def test_account(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    described: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    snapshot: SnapshotAssertion,
) -> None:
    """An account's diagnostics omit the others, and use the same label for it as the entry's."""
    device = device_of(hass, mock_config_entry, SCALP.account_id)
    data = await get_diagnostics_for_device(
        hass, hass_client, mock_config_entry, device
    )

    assert without_versions(data) == snapshot
    assert "account 1" not in str(data)


async def test_replica_of_an_account(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    described: dict[str, Any],
    mock_config_entry: MockConfigEntry,
) -> None:
    """Events of a replica belong to its account."""
    described["accounts"][0]["replicas"] = [{"account_id": REPLICA}]
    described["events"].append({"what": "subscribe", "account_id": REPLICA})

    for account, events in ((SWING, 3), (SCALP, 2)):
        device = device_of(hass, mock_config_entry, account.account_id)
        data: Any = await get_diagnostics_for_device(
            hass, hass_client, mock_config_entry, device
        )
        assert len(data["links"]["events"]) == events


async def test_hub(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    described: dict[str, Any],
    mock_config_entry: MockConfigEntry,
) -> None:
    """The diagnostics of the hub are those of the entry."""
    hub = device_of(hass, mock_config_entry, mock_config_entry.entry_id)

    assert await get_diagnostics_for_device(
        hass, hass_client, mock_config_entry, hub
    ) == await get_diagnostics_for_config_entry(hass, hass_client, mock_config_entry)


@pytest.mark.parametrize("token", [make_jwt(provisioning=False), "an-old-token"])
async def test_entry_that_does_not_work(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    token: str,
) -> None:
    """The diagnostics of an entry that is not loaded contain the reason."""
    entry = make_entry(FIRST, token=token)
    with patch(
        "custom_components.metaapi.Monitor",
        side_effect=ConfigEntryNotReady(f"no {OWNER}."),
    ):
        await setup_entry(hass, entry)
    assert entry_state(entry) is ConfigEntryState.SETUP_RETRY

    data: Any = await get_diagnostics_for_config_entry(hass, hass_client, entry)

    assert data["entry"]["state"] == "setup_retry"
    assert data["entry"]["reason"].startswith("no owner.")
    assert [account["account_id"] for account in data["accounts"]] == ["account 1"]
    assert "links" not in data
    await hass.config_entries.async_unload(entry.entry_id)


async def test_account_without_facts(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """An account without facts from REST is included."""
    provisioning.accounts.return_value = []
    provisioning.account.side_effect = NotFoundError("gone")
    entry = make_entry(SWING)
    await setup_entry(hass, entry)

    data: Any = await get_diagnostics_for_config_entry(hass, hass_client, entry)

    assert data["accounts"] == [
        {
            "account_id": "account 1",
            "title": "name 1",
            "region": "london",
            "facts": None,
        }
    ]


async def longest_turn(work: Awaitable[Any]) -> tuple[float, float]:
    """Return the CPU seconds of the longest turn of the loop during some work, and in total."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)
    longest = 0.0
    done = False

    async def watch() -> None:
        nonlocal longest
        before = time.thread_time()
        while not done:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, before = max(longest, now - before), now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    started = time.thread_time()
    await work
    took = time.thread_time() - started
    done = True
    await watching
    return longest, took


async def test_a_thousand_accounts(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """No other task waits for more than 50 ms, and the user for less than a second."""
    accounts = [
        replace(
            FIRST,
            account_id=f"{number:08x}-aaaa-4bbb-8ccc-{number:012x}",
            name=f"Account {number}",
            login=str(7_000_000 + number),
            replicas=(),
        )
        for number in range(1000)
    ]
    provisioning.accounts.return_value = accounts
    entry = make_entry(*accounts)
    with patch("custom_components.metaapi.PLATFORMS", []):
        await setup_entry(hass, entry)
    monitors[0].described = {
        "accounts": [
            {
                "account_id": account.account_id,
                "replicas": [],
                "status": "connected",
                "zones": [
                    {
                        "zone": f"london-{zone}",
                        "account_id": account.account_id,
                        "hosts": [{"host": f"ps-mpa-{number % 9}", "seen": 1.5}],
                    }
                    for zone in "ab"
                ],
            }
            for number, account in enumerate(accounts)
        ],
        "events": [],
    }

    longest, took = await longest_turn(async_get_config_entry_diagnostics(hass, entry))

    assert longest < 0.05
    assert took < 1
    await hass.config_entries.async_unload(entry.entry_id)


def test_leaks_are_found() -> None:
    """Without this, the other tests would prove nothing."""
    for name, secret in SECRETS.items():
        for spelling in spellings(secret):
            for ascii_only in (True, False):
                text = json.dumps({"x": f"<{spelling}>"}, ensure_ascii=ascii_only)
                assert name in leaks(text)
    assert leaks('{"x": "account 1"}') == set()


@pytest.mark.parametrize("identifier", [None, FIRST.account_id])
async def test_secrets_everywhere(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    identifier: str | None,
) -> None:
    """No secret that was planted in any text is in the file."""
    provisioning.accounts.return_value = [FIRST, SECOND]
    entry = make_entry(
        FIRST,
        SECOND,
        title=TITLE,
        data={CONF_API_URL: URL, CONF_APPLICATION: APPLICATION},
    )
    await setup_entry(hass, entry)
    first, _ = entry.subentries.values()
    hass.config_entries.async_update_subentry(
        entry, first, title=SECRETS["subentry title"]
    )
    dr.async_get(hass).async_update_device(
        device_of(hass, entry, SECOND.account_id).id, name_by_user=SECRETS["device"]
    )
    planted = plant()
    monitors[0].described = {
        "accounts": [
            {
                "account_id": account.account_id,
                "replicas": [{"account_id": REPLICA}],
                "zones": [{"hosts": planted}],
            }
            for account in (FIRST, SECOND)
        ],
        "events": [{"what": text, "account_id": None} for text in planted],
        "sockets": {text: text for text in planted},
    }
    provisioning.accounts.side_effect = InternalError(" ".join(planted))
    await pass_time(hass, REREAD_INTERVAL)

    device = device_of(hass, entry, identifier) if identifier else None
    text = await download(hass, hass_client, entry, device)

    assert leaks(text) == set()
    links = json.loads(text)["data"]["links"]
    assert links["accounts"][0]["account_id"] == "account 1"
    assert links["accounts"][0]["replicas"] == [
        {"account_id": "replica 1 of account 1"}
    ]
    assert len(links["events"]) == len(planted)


# -- with the simulator ------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def fast() -> Iterator[None]:
    """Shorten all delays."""
    with patch("custom_components.metaapi.TIMING", FAST):
        yield


@pytest.fixture
async def sim(hass: HomeAssistant, socket_enabled: None) -> AsyncIterator[Simulator]:
    """Run a simulator whose accounts have distinctive names."""
    accounts = [
        SimAccount(
            id=account.account_id,
            name=account.name,
            login=account.login,
            server=account.server,
        )
        for account in (FIRST, SECOND)
    ]
    async with Simulator(
        accounts=accounts,
        token=TOKEN,
        status_interval=0.05,
        reconnect_delay=0.05,
        ping_interval=0.2,
        ping_timeout=0.5,
    ) as simulator:
        yield simulator


async def test_with_simulator(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, sim: Simulator
) -> None:
    """The client's records of many faults are readable and contain no secrets."""
    entry = entry_for(sim)
    await setup_entry(hass, entry)
    terminals = [
        entity_id
        for entity_id in hass.states.async_entity_ids("binary_sensor")
        if entity_id.endswith("_terminal")
    ]
    for terminal in terminals:
        await until_state(hass, terminal, STATE_ON)
    sim.set_reconnect_mode(FIRST.account_id, "legacy_only")
    assert (await reconnect(hass, entity_id=terminals))["outcome"] == "authenticated"
    everything = " ".join(plant())
    event = {"type": "disconnected", "accountId": FIRST.account_id}
    for secret in SECRETS.values():
        sim.inject_event(FIRST.account_id, {**event, "host": secret})
    sockets = entry.runtime_data.monitor.diagnostics
    sim.send_error_packet({"message": everything})
    await until(lambda: sockets()["sockets"][0]["connects"] == 2)
    await sim.stop_listening()
    for terminal in terminals:
        await until_state(hass, terminal, STATE_UNAVAILABLE)
    await sim.resume_listening()
    for terminal in terminals:
        await until_state(hass, terminal, STATE_ON)
    sim.fail_rest(500, body=json.dumps({"message": everything}))
    await entry.runtime_data.facts.async_read()

    text = await download(hass, hass_client, entry)

    # Only the entry's own names are known
    assert leaks(text) <= {"application", "device", "host", "subentry title", "title"}
    data = json.loads(text)["data"]
    assert set(data["versions"]) == VERSIONS
    links = data["links"]
    assert links["reconnect_form"] == "seed_page"
    assert [one["account_id"] for one in links["accounts"]] == [
        "account 1",
        "account 2",
    ]
    (zone,) = links["accounts"][0]["zones"]
    assert [host["host"] for host in zone["hosts"]] == ["ps-mpa-1"]
    (socket,) = links["sockets"]
    assert socket["state"] == "open"
    assert socket["losses"] >= 2
    assert socket["frames"] > 0
    assert socket["last_error"]
    assert 10 < len(links["events"]) <= 50
    assert {"account 1", "account 2"} <= {
        event.get("account_id") for event in links["events"]
    }
    assert all(event["when"].startswith("20") for event in links["events"])
    assert data["rest"]["last_error"].startswith("InternalError: ")
    await hass.config_entries.async_unload(entry.entry_id)
