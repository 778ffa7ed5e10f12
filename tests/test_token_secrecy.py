"""Test that no log contains the token, at any level and after any error."""

from collections.abc import Callable, Iterator
import json
import logging
from typing import override
from unittest.mock import patch
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest

from custom_components.metaapi.const import CONF_API_URL, DOMAIN
from custom_components.metaapi.facts import DATA_PAUSES
from homeassistant.config_entries import SOURCE_USER, ConfigEntryState
from homeassistant.const import CONF_TOKEN, STATE_ON, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from simulator import Simulator

from .conftest import TOKEN, entry_state, setup_entry
from .test_end_to_end import (
    FAST,
    LINK,
    TERMINAL,
    entry_for,
    reconnect,
    until,
    until_state,
)

LOGGERS = (
    "custom_components.metaapi",
    "socketio",
    "socketio.metaapi",
    "engineio",
    "engineio.metaapi",
    "aiohttp",
    "asyncio",
    "",
)
ODD_TOKEN = "odd+token/with=signs&more;to?quote#and~%41 blank"


class Search(logging.Handler):
    """Keeps every log record as text."""

    def __init__(self) -> None:
        """Start without records."""
        super().__init__(logging.NOTSET)
        self.texts: list[tuple[str, str]] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Store the message and everything else that a handler could print."""
        parts = [record.getMessage(), repr(record.msg), repr(record.args)]
        if record.exc_info:
            parts.append(logging.Formatter().formatException(record.exc_info))
            error = record.exc_info[1]
            while error is not None:
                parts += [repr(error), repr(vars(error))]
                error = error.__cause__ or error.__context__
        parts.append(record.stack_info or "")
        self.texts.append((record.name, "\n".join(parts)))

    def find(self, token: str) -> list[tuple[str, str]]:
        """Return the records with the token, in any spelling, or with its secret parts."""
        secrets = {token, *(part for part in token.split(".") if len(part) > 20)}
        spellings = {
            spelling
            for secret in secrets
            for spelling in (secret, quote(secret), quote(secret, ""), repr(secret))
        } | {quote_plus(secret) for secret in secrets}
        return [
            (name, text)
            for name, text in self.texts
            if any(
                spelling in form
                for spelling in spellings
                for form in (text, unquote(text), unquote_plus(text))
            )
        ]


@pytest.fixture
def search(caplog: pytest.LogCaptureFixture) -> Iterator[Search]:
    """Log everything at the lowest level."""
    handler = Search()
    for name in LOGGERS:
        caplog.set_level(logging.DEBUG, name)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.fixture(autouse=True)
def fast() -> Iterator[None]:
    """Shorten all delays."""
    with patch("custom_components.metaapi.TIMING", FAST):
        yield


@pytest.mark.parametrize("name", LOGGERS)
@pytest.mark.parametrize("token", [TOKEN, ODD_TOKEN], ids=["JWT", "odd"])
def test_tokens_are_found(search: Search, name: str, token: str) -> None:
    """Without this, the other test would prove nothing."""
    logger = logging.getLogger(name)

    def fail() -> None:
        raise ValueError(token)

    def fail_later() -> None:
        try:
            fail()
        except ValueError as err:
            raise RuntimeError("no answer") from err

    def log_the_error() -> None:
        try:
            fail_later()
        except RuntimeError:
            logger.exception("It failed")

    ways: tuple[Callable[[], None], ...] = (
        lambda: logger.debug(token),
        lambda: logger.debug("Connecting to %s", f"wss://x/?auth-token={token}"),
        lambda: logger.debug("URL %s", quote(token)),
        lambda: logger.debug("URL %s", quote(token, "")),
        lambda: logger.debug("URL %s", quote_plus(token)),
        lambda: logger.debug("Headers %s", {"auth-token": token}),
        lambda: logger.info("Only %s", max(token.split("."), key=len)),
        log_the_error,
    )
    for log in ways:
        search.texts.clear()
        log()
        assert len(search.find(token)) == 1

    search.texts.clear()
    logger.debug("Connecting to %s", "wss://x/?auth-token=**REDACTED**")
    assert not search.find(token)


@pytest.mark.parametrize("token", [TOKEN, ODD_TOKEN], ids=["JWT", "odd"])
async def test_log_does_not_contain_the_token(
    hass: HomeAssistant, socket_enabled: None, search: Search, token: str
) -> None:
    """Test connecting, refusals, failures of every kind, reconnects and REST errors."""
    async with Simulator(
        accounts=2,
        status_interval=0.05,
        reconnect_delay=0.05,
        ping_interval=0.2,
        ping_timeout=0.5,
    ) as sim:
        sim.grant(token)
        entry = entry_for(sim, token)
        echo = json.dumps({"error": "InternalError", "message": f"not {token}!"})

        # A start without facts: no server, errors that repeat the token, a redirect
        await sim.stop_listening()
        await setup_entry(hass, entry)
        assert entry_state(entry) is ConfigEntryState.LOADED
        assert entry.runtime_data.facts.last_error is not None
        await sim.resume_listening()
        for status in (500, 429, 403, 400, 404, 302, 200):
            sim.fail_rest(status, body=echo)
            await hass.config_entries.async_reload(entry.entry_id)
            assert token not in str(entry.runtime_data.facts.last_error)
            # The pause of the 429 is over
            hass.data[DATA_PAUSES].clear()
        sim.fail_rest(None)

        # Connect, reconnect in both forms, refusals
        await hass.config_entries.async_reload(entry.entry_id)
        await until_state(hass, TERMINAL, STATE_ON)
        assert (await reconnect(hass))["outcome"] == "authenticated"
        sim.set_reconnect_mode(sim.account.id, "legacy_only")
        assert (await reconnect(hass))["outcome"] == "authenticated"
        sim.set_reconnect_mode(
            sim.account.id, "refuse", error="ForbiddenError", details=token
        )
        assert (await reconnect(hass))["outcome"] == "refused"

        # The socket is lost in every way
        ways: tuple[Callable[[], int], ...] = (
            lambda: sim.send_error_packet({"message": f"not {token}!"}),
            lambda: sim.inject(f'44"{token}"'),
            sim.drop_sockets,
            sim.close_sockets,
        )
        for break_it in ways:
            broken = sim.sockets[0]
            break_it()
            await broken.closed.wait()
            await until(lambda: sim.sockets)
        for status in (500, 403, 429):
            sim.refuse_sockets(status)
            sim.drop_sockets()
            await until_state(hass, TERMINAL, STATE_UNAVAILABLE)
            sim.refuse_sockets(None)
            await hass.config_entries.async_reload(entry.entry_id)
            await until_state(hass, TERMINAL, STATE_ON)
        await sim.stop_listening()
        await until_state(hass, TERMINAL, STATE_UNAVAILABLE)
        assert (await reconnect(hass, timeout=1))["outcome"] == "no_connection"
        await sim.resume_listening()
        await until_state(hass, TERMINAL, STATE_ON)

        # The listing fails while running
        sim.fail_rest(500, body=echo)
        await entry.runtime_data.facts.async_read()
        sim.fail_rest(None)

        # A user enters the token, and it is refused
        sim.revoke(token, drop=True)
        await until(lambda: hass.config_entries.flow.async_progress_by_handler(DOMAIN))
        await until_state(hass, LINK, "off")
        flow = await hass.config_entries.flow.async_init(
            DOMAIN, context={"source": SOURCE_USER}
        )
        flow = await hass.config_entries.flow.async_configure(
            flow["flow_id"],
            {CONF_TOKEN: token, "advanced": {CONF_API_URL: sim.url}},
        )
        assert flow["errors"]
        await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()

    logged = {name for name, _ in search.texts}
    assert {
        "custom_components.metaapi",
        "custom_components.metaapi.api.monitor",
        "engineio.metaapi",
        "socketio.metaapi",
    } <= logged
    assert search.find(token) == []
