"""Diagnostics of an entry and of an account, which a person can publish."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr

from .api import STREAMING, Monitor, TokenClaims, read_claims
from .const import (
    CONF_ACCOUNT_ID,
    CONF_API_URL,
    CONF_APPLICATION,
    CONF_REGION,
    CONF_SERVER,
    MANUFACTURER,
)
from .data import MetaApiConfigEntry
from .device import account_subentries, async_get_device
from .redaction import REDACTED, Redactor

_PART_MIN = 16
"""A part of a token that is shorter may be a word."""

ENTRY_SECRETS = frozenset({CONF_TOKEN, CONF_API_URL, CONF_APPLICATION, CONF_SERVER})
"""What of the entry nobody else should read; the rest is redacted by value."""

TURN = 0.01
"""Seconds for which others wait at most, and a little more."""

LISTS = ("sockets", "accounts", "events")
"""What the monitor says of itself bit by bit."""

LIBRARIES = ("aiohttp", "python-engineio", "python-socketio")


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: MetaApiConfigEntry
) -> dict[str, Any]:
    """Return the diagnostics of an entry."""
    return await _async_diagnostics(hass, entry)


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: MetaApiConfigEntry, device: dr.DeviceEntry
) -> dict[str, Any]:
    """Return the diagnostics of an account, or of the entry for its hub; labels are the same in both."""
    subentry = entry.subentries.get(device.config_subentry_id or "")
    return await _async_diagnostics(
        hass, entry, subentry.data[CONF_ACCOUNT_ID] if subentry is not None else None
    )


async def _async_diagnostics(
    hass: HomeAssistant, entry: MetaApiConfigEntry, account_id: str | None = None
) -> dict[str, Any]:
    """Return the diagnostics of an entry, or of one of its accounts.

    Of a thousand accounts it takes a while, so that others get their turn again and again.
    """
    claims = read_claims(entry.data[CONF_TOKEN])
    turns = Turns(hass)
    redactor = await _async_redactor(hass, entry, claims, turns)
    diagnostics: dict[str, Any] = {
        "versions": await hass.async_add_executor_job(_versions),
        "entry": {
            "version": f"{entry.version}.{entry.minor_version}",
            "state": entry.state.value,
            "reason": entry.reason,
            "disabled_by": entry.disabled_by,
            "data": async_redact_data(entry.data, ENTRY_SECRETS),
        },
        "token": _describe_token(claims),
        "accounts": [
            {
                "account_id": subentry.data[CONF_ACCOUNT_ID],
                "title": subentry.title,
                "region": subentry.data[CONF_REGION],
                **_facts(entry, subentry.data[CONF_ACCOUNT_ID]),
            }
            async for subentry in turns.over(account_subentries(entry))
            if account_id in (None, subentry.data[CONF_ACCOUNT_ID])
        ],
    }
    if entry.state is ConfigEntryState.LOADED:
        facts = entry.runtime_data.facts
        links = await _async_links(entry.runtime_data.monitor, turns)
        diagnostics["rest"] = {
            "lists_accounts": facts.can_list,
            "last_error": facts.last_error,
        }
        diagnostics["links"] = links if account_id is None else _only(links, account_id)
    redacted: dict[str, Any] = await _async_redact(redactor, diagnostics, turns)
    return redacted


class Turns:
    """Lets others have their turn while something takes long."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Start with a turn of ours."""
        self._hass = hass
        self._since = hass.loop.time()

    async def async_share(self) -> None:
        """Let others have theirs if ours has lasted for a while."""
        if self._hass.loop.time() - self._since > TURN:
            await asyncio.sleep(0)
            self._since = self._hass.loop.time()

    async def over[ItemT](self, items: Iterable[ItemT]) -> AsyncIterator[ItemT]:
        """Yield items, and share between them."""
        for item in items:
            yield item
            await self.async_share()


async def _async_links(monitor: Monitor, turns: Turns) -> dict[str, Any]:
    """Return what the monitor says of itself."""
    links: dict[str, Any] = {name: [] for name in LISTS}
    async for name, part in turns.over(monitor.diagnostics_parts()):
        if name in LISTS:
            links[name].append(part)
        else:
            links[name] = part
    return links


async def _async_redact(redactor: Redactor, value: Any, turns: Turns) -> Any:
    """Redact data; the lists in it, which may be long, item by item."""
    if isinstance(value, dict):
        return {
            redactor.redact_key(key): await _async_redact(redactor, one, turns)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [redactor.redact(one) async for one in turns.over(value)]
    return redactor.redact(value)


def _versions() -> dict[str, str]:
    """Return the versions of the libraries that the link is made of."""
    return {library: version(library) for library in LIBRARIES}


def _describe_token(claims: TokenClaims) -> dict[str, Any]:
    """Return what a token says of itself, except whose it is."""
    applications = claims.applications
    return {
        "issued_at": claims.issued_at and claims.issued_at.isoformat(),
        "expires_at": claims.expires_at and claims.expires_at.isoformat(),
        "may_list_accounts": claims.can_list_accounts,
        "may_stream": None if applications is None else STREAMING in applications,
    }


def _facts(entry: MetaApiConfigEntry, account_id: str) -> dict[str, Any]:
    """Return what REST says of an account."""
    if entry.state is not ConfigEntryState.LOADED:
        return {}
    account = entry.runtime_data.facts.accounts.get(account_id)
    return {"facts": asdict(account) if account is not None else None}


def _only(links: dict[str, Any], account_id: str) -> dict[str, Any]:
    """Return what concerns one account: of the events its own, and those of all."""
    accounts = [
        account for account in links["accounts"] if account["account_id"] == account_id
    ]
    ids = {account_id, None}
    for account in accounts:
        ids.update(replica["account_id"] for replica in account["replicas"])
    return {
        **links,
        "accounts": accounts,
        "events": [
            event for event in links["events"] if event.get("account_id") in ids
        ],
    }


async def _async_redactor(
    hass: HomeAssistant, entry: MetaApiConfigEntry, claims: TokenClaims, turns: Turns
) -> Redactor:
    """Return what takes out all that we know of the user."""
    redactor = Redactor()
    token: str = entry.data[CONF_TOKEN]
    redactor.add(token, REDACTED)
    for part in token.split("."):
        if len(part) >= _PART_MIN:
            redactor.add(part, REDACTED)
    redactor.add(claims.owner_id, "owner")
    redactor.add(entry.unique_id, "owner")
    if api_url := entry.data.get(CONF_API_URL):
        redactor.add(api_url, "own server")
        redactor.add(urlsplit(api_url).netloc, "own server")
        redactor.add(urlsplit(api_url).hostname, "own server")
    numbered = enumerate(account_subentries(entry), 1)
    async for number, subentry in turns.over(numbered):
        account_id: str = subentry.data[CONF_ACCOUNT_ID]
        redactor.add(account_id, f"account {number}")
        facts = _facts(entry, account_id).get("facts") or {}
        for index, replica in enumerate(facts.get("replicas", ()), 1):
            redactor.add(replica["account_id"], f"replica {index} of account {number}")
        redactor.add(facts.get("login"), f"login {number}")
        redactor.add(facts.get("server"), f"server {number}")
        device = async_get_device(hass, entry, account_id)
        _add_names(
            redactor,
            f"name {number}",
            subentry.title,
            facts.get("name"),
            device.name if device is not None else None,
            device.name_by_user if device is not None else None,
        )
    _add_names(redactor, "name of the entry", entry.title)
    _add_names(redactor, "own application", entry.data.get(CONF_APPLICATION))
    return redactor


def _add_names(redactor: Redactor, label: str, *names: str | None) -> None:
    """Redact names, except the one that half of the texts hold."""
    for name in names:
        if name != MANUFACTURER:
            redactor.add(name, label)
