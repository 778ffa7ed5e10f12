"""Test that after a day of faults, with servers that repeat the token in every form, it is stored only in the entry."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
import hashlib
from itertools import cycle
import json
import logging
from pathlib import Path
import random
from typing import Any, override
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import MockUser
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    WebSocketGenerator,
)

from custom_components.metaapi.api import Account
from custom_components.metaapi.const import CONF_API_URL, DOMAIN
from custom_components.metaapi.redaction import Redactor
from homeassistant.auth.models import Credentials
from homeassistant.components import persistent_notification
from homeassistant.components.recorder import get_instance
from homeassistant.config_entries import SOURCE_REAUTH
from homeassistant.const import (
    ATTR_ENTITY_ID,
    CONF_TOKEN,
    STATE_ON,
)
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, issue_registry as ir
from homeassistant.helpers.json import ExtendedJSONEncoder
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from simulator import Simulator, cloud, make_jwt
from tests.api.faults.proxy import Answer, Proxy, text_frame
from tests.conftest import entry_state, make_entry, setup_entry, value

from .clock import HomeLoop
from .finder import Finder, echoes, spellings

DAY = 24 * 3600.0
GAP = 600.0
"""Seconds between two faults, on average."""
SAVED_WITHIN = 200.0
PATIENCE = 1200.0
"""Seconds; a token counts as refused after REST refused it twice, a minute apart, and REST may ask for a pause."""
LOUD = ("custom_components.metaapi", "socketio", "engineio", "aiohttp", "asyncio")
QUIET = ("", "homeassistant", "sqlalchemy.engine")
TERMINALS = ("swing", "scalper", "gold")
LINK = "binary_sensor.metaapi_link"
PAGER = "notify.of_nobody"
FLOWS = "/api/config/config_entries/flow"
SUBENTRY_FLOWS = "/api/config/config_entries/subentries/flow"
FIXES = "/api/repairs/issues/fix"
CLOSE = b"\x88"


def make_token(name: str) -> str:
    """Return a JWT that expires in a week, with a signature that looks different in every encoding."""
    expires = int(dt_util.utcnow().timestamp()) + 7 * 24 * 3600
    head = make_jwt(expires=expires).rpartition(".")[0]
    signature = b64encode(hashlib.sha512(name.encode()).digest() + b"\xfb\xff\xfe")
    return f"{head}.++//{signature.decode()}=="


class Log(logging.Handler):
    """Collects what a log could contain, including the arguments and the cause of each error."""

    def __init__(self) -> None:
        """Start with an empty log."""
        super().__init__(logging.NOTSET)
        self.lines: dict[str, None] = {}
        self._formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Store a record; repetitions are stored once."""
        self.lines[self._formatter.format(record)] = None
        self.lines[repr(record.args)] = None
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            self.lines[f"{error!r} {vars(error)}"] = None
            error = error.__cause__ or error.__context__


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    """Turn on all logging that a user can turn on for this integration."""
    log = Log()
    for name in QUIET:
        caplog.set_level(logging.WARNING, name)
    for name in LOUD:
        caplog.set_level(logging.DEBUG, name)
    # aiohttp's access logger fails if the clock stands still
    caplog.set_level(logging.WARNING, "aiohttp.access")
    # Without this, caplog would keep a second copy of the whole day
    with patch.object(caplog.handler, "emit"):
        logging.getLogger().addHandler(log)
        yield log
        logging.getLogger().removeHandler(log)


@pytest.fixture
def events(hass: HomeAssistant) -> dict[str, None]:
    """Collect all events of the event bus."""
    kept: dict[str, None] = {}

    @callback
    def keep(event: Event) -> None:
        kept[f"{event.event_type} {event.data}"] = None

    hass.bus.async_listen("*", keep)
    return kept


@pytest.fixture(autouse=True)
def quiet_simulator() -> Iterator[None]:
    """Make the simulator sleep for longer, because no test here changes its speed."""
    with patch.object(cloud, "STEP", 60.0):
        yield


AUTOMATIONS = [
    {
        "id": "told",
        "alias": "Told",
        "mode": "parallel",
        "max": 20,
        "trace": {"stored_traces": 500},
        "triggers": [
            {"trigger": f"{DOMAIN}.{kind}", "target": {ATTR_ENTITY_ID: LINK}}
            for kind in (
                "disconnected",
                "connected",
                "broker_disconnected",
                "broker_connected",
                "out_of_sight",
                "in_sight",
            )
        ],
        "conditions": [
            {
                "condition": "or",
                "conditions": [
                    {
                        "condition": f"{DOMAIN}.{kind}",
                        "target": {ATTR_ENTITY_ID: LINK},
                        "options": {"behavior": "any"},
                    }
                    for kind in ("is_disconnected", "is_connected")
                ]
                + [{"condition": "template", "value_template": "{{ true }}"}],
            }
        ],
        "actions": [
            {
                "action": "persistent_notification.create",
                "data": {
                    "title": "{{ trigger.title }}",
                    "message": "{{ trigger.message }} {{ trigger }}",
                },
            },
            {
                "action": f"{DOMAIN}.notify",
                "data": {
                    "entities": PAGER,
                    "title": "{{ trigger.title }}",
                    "message": "{{ trigger.message }}",
                },
                "response_variable": "told",
            },
        ],
    },
    {
        "id": "repaired",
        "alias": "Repaired",
        "trace": {"stored_traces": 100},
        "triggers": [
            {
                "trigger": f"{DOMAIN}.disconnected",
                "target": {ATTR_ENTITY_ID: LINK},
                "options": {"for": 10},
            }
        ],
        "actions": [
            {
                "action": f"{DOMAIN}.reconnect",
                "target": {"entity_id": "{{ trigger.entity_id }}"},
                "data": {"timeout": 30},
                "response_variable": "answer",
            },
            {"event": "answered", "event_data": {"answer": "{{ answer }}"}},
        ],
    },
    {
        "id": "planted",
        "alias": "Planted",
        "triggers": [{"trigger": "event", "event_type": "plant"}],
        "actions": [{"delay": 0}],
    },
    {
        "id": "pressed",
        "alias": "Pressed",
        "trace": {"stored_traces": 100},
        "triggers": [{"trigger": "time_pattern", "minutes": "/30"}],
        "actions": [
            {
                "action": f"{DOMAIN}.reconnect",
                "target": {"entity_id": "all"},
                "data": {"timeout": 20},
            }
        ],
    },
]


@dataclass(frozen=True)
class Reason(Answer):
    """An answer that contains a text wherever HTTP allows one."""

    text: str = ""

    @override
    def encode(self) -> bytes:
        """Return the answer, with the text as reason, header, cookie, challenge and body."""
        body = self.text.encode()
        head = [
            f"HTTP/1.1 {self.status} {self.text}",
            f"Content-Length: {len(body)}",
            f"X-Echo: {self.text}",
            f"Location: /ws/?{self.text}",
            f'WWW-Authenticate: Bearer realm="{self.text}"',
            f"Set-Cookie: echo={self.text}",
            "Connection: close",
        ]
        return "\r\n".join([*head, "", ""]).encode() + body


async def wait_until(condition: Callable[[], object]) -> None:
    """Wait for a condition, in the time of the loop."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(1)


class Day:
    """The faults of a day."""

    def __init__(
        self, hass: HomeAssistant, sim: Simulator, proxy: Proxy, token: str
    ) -> None:
        """Start with a valid token."""
        self.hass = hass
        self.sim = sim
        self.proxy = proxy
        self.tokens = [token]
        self.random = random.Random(1)
        self.happened: dict[str, int] = {}
        self._echoes = cycle(echoes(token))
        self._normal = sim.wire.open_packet

    @property
    def entry(self) -> Any:
        """Return the config entry."""
        (entry,) = self.hass.config_entries.async_entries(DOMAIN)
        return entry

    def echo(self) -> str:
        """Return the next text in which a server repeats the token."""
        return next(self._echoes)

    def account(self) -> str:
        """Return the ID of a random account."""
        return self.random.choice([*self.sim.accounts])

    async def run(self) -> None:
        """Cause one fault after another until the day is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + DAY
        faults: list[Callable[[], Awaitable[None]]] = [
            self.rest_fails,
            self.rest_redirects,
            self.handshake_is_refused,
            self.handshake_is_redirected,
            self.handshake_says_much,
            self.socket_is_closed_with_a_reason,
            self.error_packet,
            self.odd_frames,
            self.odd_open_packet,
            self.events_echo,
            self.requests_are_refused,
            self.limits,
            self.reconnect_is_refused,
            self.names_echo,
            self.line_drops,
            self.terminal_drops,
            self.broker_drops,
            self.button_is_pressed,
            self.server_is_gone,
        ]
        while loop.time() < end:
            self.random.shuffle(faults)
            for fault in faults:
                self.happened[fault.__name__] = self.happened.get(fault.__name__, 0) + 1
                await fault()
                await asyncio.sleep(self.random.expovariate(1 / GAP))
            if len(self.tokens) < 4:
                await self.token_is_refused()

    def asked(self) -> list[Any]:
        """Return the flows that ask for a new token."""
        return [
            flow
            for flow in self.hass.config_entries.flow.async_progress_by_handler(DOMAIN)
            if flow["context"]["source"] == SOURCE_REAUTH
        ]

    async def a_while(self) -> None:
        """Wait for a random time, up to the longest a fault may last."""
        await asyncio.sleep(self.random.uniform(5, 300))

    async def rest_fails(self) -> None:
        """REST answers with errors that contain the token."""
        status = self.random.choice((400, 401, 403, 404, 429, 500, 503))
        text = self.echo()
        body = {"error": text, "message": text, "details": {text: [text]}}
        self.sim.fail_rest(status, body=json.dumps(body))
        await self.entry.runtime_data.facts.async_read()
        await self.a_while()
        self.sim.fail_rest(None)

    async def rest_redirects(self) -> None:
        """REST redirects with the token in the body."""
        self.sim.fail_rest(302, body=self.echo())
        await self.entry.runtime_data.facts.async_read()
        await self.a_while()
        self.sim.fail_rest(None)

    async def handshake_is_refused(self) -> None:
        """The server refuses the WebSocket upgrade with an HTTP status."""
        self.sim.refuse_sockets(self.random.choice((400, 401, 403, 404, 429, 500)))
        self.proxy.drop()
        await self.a_while()
        self.sim.refuse_sockets(None)

    async def handshake_is_redirected(self) -> None:
        """The server redirects the WebSocket upgrade to a URL that contains the token."""
        self.sim.refuse_sockets(
            self.random.choice((301, 302, 303, 307, 308)),
            location=f"{self.proxy.url}/elsewhere?{self.echo()}",
        )
        self.proxy.drop()
        await self.a_while()
        self.sim.refuse_sockets(None)

    async def handshake_says_much(self) -> None:
        """The server refuses the WebSocket upgrade with the token in reason, headers and body."""
        self.proxy.answer = Reason(
            self.random.choice((400, 401, 500)), text=self.echo().replace("…", "")
        )
        self.proxy.drop()
        await self.a_while()
        self.proxy.answer = None

    async def socket_is_closed_with_a_reason(self) -> None:
        """The server closes the socket with the token as the longest allowed reason."""
        payload = (1008).to_bytes(2) + self.echo().encode("ascii", "ignore")[:123]
        self.proxy.inject(CLOSE + bytes([len(payload)]) + payload)
        await self.a_while()

    async def error_packet(self) -> None:
        """Socket.IO refuses the namespace with the token in its message."""
        text = self.echo()
        self.sim.send_error_packet(self.random.choice((text, {"message": text})))
        await self.a_while()

    async def odd_frames(self) -> None:
        """The server sends malformed frames that contain the token wherever possible."""
        text = json.dumps(self.echo())
        for frame in (
            text[1:-1],
            f"4{text[1:-1]}",
            f"42[{text}]",
            f"42[{text},{text}]",
            f"42{text}",
            f"43[{text}]",
            f"45-{text}",
            f"42/{text[1:-1]},[{text}]",
            f'42["response",{{"requestId":{text},"type":{text}}}]',
            f'42["processingError",{{"requestId":{text},"error":{text}}}]',
            f'42["synchronization",{text}]',
            f"44{text}",
        ):
            self.proxy.inject(text_frame(frame))
            await asyncio.sleep(self.random.uniform(0, 20))

    async def odd_open_packet(self) -> None:
        """The first packet of a socket contains the token, whether or not the packet is well formed."""
        text = json.dumps(self.echo())
        self.sim.wire.open_packet = self.random.choice(
            (
                f'0{{"sid":{text},"upgrades":[{text}],"pingInterval":25000,"pingTimeout":5000}}',
                f'0{{"sid":"x","pingInterval":{text},"pingTimeout":{text}}}',
                f"0{text}",
                f"4{text[1:-1]}",
            )
        )
        self.proxy.drop()
        await self.a_while()
        self.sim.wire.open_packet = self._normal
        self.proxy.drop()

    async def events_echo(self) -> None:
        """Events contain the token in every field."""
        account_id, text = self.account(), self.echo()
        for kind in ("authenticated", "status", "disconnected", text):
            event: dict[str, Any] = {"type": kind, "accountId": account_id}
            for name in ("host", "sessionId", "instanceIndex", "replicas", "connected"):
                self.sim.inject_event(account_id, {**event, name: text})
            self.sim.inject_event(account_id, {"type": kind, "accountId": text})
            await asyncio.sleep(self.random.uniform(0, 20))
        await self.a_while()

    async def requests_are_refused(self) -> None:
        """Subscribes are refused with errors that contain the token."""
        error = self.random.choice(
            (
                "ForbiddenError",
                "NotFoundError",
                "ValidationError",
                "TimeoutError",
                "InternalError",
                "TooManyRequestsError",
                self.echo(),
            )
        )
        text = self.echo()
        self.sim.refuse_requests(error, message=text, details=[{"parameter": text}])
        self.proxy.drop()
        await self.a_while()
        self.sim.accept_requests()

    async def limits(self) -> None:
        """The subscription quota is exhausted."""
        self.sim.limit_subscriptions("LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER")
        self.proxy.drop()
        await self.a_while()
        self.sim.limit_subscriptions(None)

    async def reconnect_is_refused(self) -> None:
        """Reconnects by action and button are refused with errors that contain the token."""
        account_id = self.account()
        error = self.random.choice(("ForbiddenError", "ValidationError", self.echo()))
        self.sim.set_reconnect_mode(
            account_id, "refuse", error=error, details=self.echo()
        )
        self.sim.set_terminal(account_id, up=False)
        await self.press()
        await self.a_while()
        self.sim.set_reconnect_mode(account_id, "accept")
        self.sim.set_terminal(account_id, up=True)

    async def names_echo(self) -> None:
        """REST returns the token as the name and another field of an account."""
        account_id = self.account()
        text = self.echo()
        field = self.random.choice(("login", "server", "type", "state", "reliability"))
        kept = self.sim.accounts[account_id].rest
        self.sim.set_rest(account_id, **{**kept, "name": text, field: text})
        await self.entry.runtime_data.facts.async_read()
        await self.a_while()
        self.sim.set_rest(account_id, **kept)
        await self.entry.runtime_data.facts.async_read()

    async def line_drops(self) -> None:
        """The network is down."""
        await self.proxy.refuse()
        self.proxy.drop()
        await self.a_while()
        await self.proxy.listen()

    async def server_is_gone(self) -> None:
        """The server accepts connections but does not answer."""
        self.sim.freeze(rest=True)
        await self.a_while()
        self.sim.unfreeze()

    async def terminal_drops(self) -> None:
        """A terminal drops and an automation reconnects it."""
        self.sim.set_terminal(self.account(), up=False)
        await self.a_while()

    async def broker_drops(self) -> None:
        """A terminal loses its broker."""
        account_id = self.account()
        self.sim.set_broker(account_id, up=False)
        await self.a_while()
        self.sim.set_broker(account_id, up=True)

    async def button_is_pressed(self) -> None:
        """A user presses the buttons while MetaApi is not available."""
        self.sim.fail_rest(500, body=self.echo())
        self.proxy.drop()
        await self.press()
        self.sim.fail_rest(None)

    async def press(self) -> None:
        """Press the button of every account."""
        for name in TERMINALS:
            try:
                await self.hass.services.async_call(
                    "button",
                    "press",
                    {ATTR_ENTITY_ID: f"button.{name}_reconnect"},
                    blocking=True,
                )
            except HomeAssistantError:
                logging.getLogger("homeassistant").exception("The button failed")

    async def token_is_refused(self) -> None:
        """The token is revoked; a user enters a new one, which is refused at first and then accepted."""
        flows = self.hass.config_entries.flow
        self.sim.revoke(self.tokens[-1], drop=True)
        await wait_until(self.asked)
        (asked,) = self.asked()
        token = make_token(str(len(self.tokens)))
        self.tokens.append(token)
        flow_id = asked["flow_id"]
        answer = await flows.async_configure(flow_id, {CONF_TOKEN: token})
        assert answer["errors"], answer
        self.sim.fail_rest(500, body=next(echoes(token)))
        answer = await flows.async_configure(flow_id, {CONF_TOKEN: token})
        assert answer["errors"], answer
        self.sim.fail_rest(None)
        self.sim.grant(token)
        answer = await flows.async_configure(flow_id, {CONF_TOKEN: token})
        assert answer["reason"] == "reauth_successful", answer
        self._echoes = cycle(echoes(token))
        await self.a_while()


SHOWN = {
    "diagnostics": "**REDACTED**",
    "states": "Swing Terminal",
    "notifications": "is in sight again",
    "repairs": "token_expiring",
    "traces": "is in sight again",
    "logbook": "sensor.swing_status",
    "database": "**REDACTED**",
    "stores": "metaapi.last_known",
    "forms": '"step_id"',
    "flows": "reconfigure",
    "entries": '"metaapi"',
    "log": "**REDACTED**",
    "events": "**REDACTED**",
}
"""A text that each place must contain after such a day, to prove that there was something to search."""


async def look(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
    hass_storage: dict[str, Any],
    log: Log,
    events: dict[str, None],
    start: str,
    user: MockUser,
    credential: Credentials,
) -> dict[str, str]:
    """Return everything that a home stores and shows, by place."""
    places: dict[str, str] = {}
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HomeLoop)
    # Wait until every store is written, then give threads real time
    loop.set_leaping(True)
    await asyncio.sleep(SAVED_WITHIN)
    loop.set_leaping(False)
    # The tokens from the start of the test have expired
    refresh = await hass.auth.async_create_refresh_token(
        user, "https://example.com/app", credential=credential
    )
    access = hass.auth.async_create_access_token(refresh)
    client = await hass_client(access)
    websocket = await hass_ws_client(hass, access)

    async def ask(kind: str, **fields: Any) -> Any:
        await websocket.send_json_auto_id({"type": kind, **fields})
        answer = await websocket.receive_json()
        assert answer["success"], answer
        return answer["result"]

    (entry,) = hass.config_entries.async_entries(DOMAIN)
    files = [
        await client.get(f"/api/diagnostics/config_entry/{entry.entry_id}"),
        *[
            await client.get(
                f"/api/diagnostics/config_entry/{entry.entry_id}/device/{device.id}"
            )
            for device in dr.async_entries_for_config_entry(
                dr.async_get(hass), entry.entry_id
            )
        ],
    ]
    places["diagnostics"] = "\n".join([await each.text() for each in files])
    places["states"] = json.dumps(await ask("get_states"))
    places["notifications"] = json.dumps(await ask("persistent_notification/get"))
    issues = await ask("repairs/list_issues")
    places["repairs"] = json.dumps(issues)
    traces = [
        await ask(
            "trace/get",
            domain="automation",
            item_id=each["item_id"],
            run_id=each["run_id"],
        )
        for each in await ask("trace/list", domain="automation")
    ]
    places["traces"] = json.dumps(traces)
    await get_instance(hass).async_block_till_done()
    places["logbook"] = json.dumps(await ask("logbook/get_events", start_time=start))
    database = Path(get_instance(hass).db_url.removeprefix("sqlite:///"))
    places["database"] = "\n".join(
        file.read_bytes().decode("latin-1")
        for file in sorted(database.parent.glob(f"{database.name}*"))
    )
    stores = json.loads(json.dumps(hass_storage, cls=ExtendedJSONEncoder))
    # This is the only place where the token may be stored
    for each in stores["core.config_entries"]["data"]["entries"]:
        each["data"].pop(CONF_TOKEN, None)
    places["stores"] = json.dumps(stores)
    places["forms"] = "\n".join(
        [
            await (await client.post(path, json=form)).text()
            for path, form in (
                (FLOWS, {"handler": DOMAIN, "entry_id": entry.entry_id}),
                (SUBENTRY_FLOWS, {"handler": [entry.entry_id, "account"]}),
                *(
                    (FIXES, {"handler": DOMAIN, "issue_id": issue["issue_id"]})
                    for issue in issues["issues"]
                    if issue["domain"] == DOMAIN
                ),
            )
        ]
    )
    places["flows"] = str(hass.config_entries.flow.async_progress())
    places["entries"] = json.dumps(await ask("config_entries/get"))
    for flows in (hass.config_entries.flow, hass.config_entries.subentries):
        for flow in flows.async_progress():
            flows.async_abort(flow["flow_id"])
    places["log"] = "\n".join(log.lines)
    places["events"] = "\n".join(events)
    return places


@asynccontextmanager
async def living(hass: HomeAssistant, folder: Path, token: str) -> AsyncIterator[Day]:
    """Run a home with the integration, connected to the server through a proxy that can fail."""
    # No page is opened, so an empty folder is enough for the frontend
    (folder / "hass_frontend").mkdir()
    config = {
        "frontend": {"development_repo": str(folder)},
        "automation": AUTOMATIONS,
    }
    for component in (
        "persistent_notification",
        "frontend",
        "automation",
        "config",
        "repairs",
        "diagnostics",
        "logbook",
        "system_health",
        "system_log",
    ):
        assert await async_setup_component(hass, component, config)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HomeLoop)
    async with (
        Simulator(accounts=3, token=token, status_interval=50.0) as sim,
        Proxy(sim.url) as proxy,
    ):
        entry = make_entry(
            *(
                Account(account_id=one.id, name=one.name, region=one.region)
                for one in sim.accounts.values()
            ),
            token=token,
            data={CONF_API_URL: proxy.url},
        )
        await setup_entry(hass, entry)
        loop.set_leaping(True)
        await wait_until(
            lambda: value(hass, "binary_sensor.swing_terminal") == STATE_ON
        )
        try:
            yield Day(hass, sim, proxy, token)
        finally:
            loop.set_leaping(False)
            await hass.services.async_call(
                "automation", "turn_off", {ATTR_ENTITY_ID: "all"}, blocking=True
            )
            await hass.config_entries.async_unload(entry.entry_id)
            await hass.async_block_till_done()


async def test_the_token_stays_in_the_entry(
    recorder_mock: Any,
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hass_ws_client: WebSocketGenerator,
    hass_storage: dict[str, Any],
    socket_enabled: None,
    tmp_path: Path,
    hass_admin_user: MockUser,
    hass_admin_credential: Credentials,
    log: Log,
    events: dict[str, None],
) -> None:
    """After a day of faults with all logs turned on, no part of a token is found in anything the home wrote or shows."""
    start = dt_util.utcnow().isoformat()
    async with living(hass, tmp_path, make_token("first")) as day:
        await day.run()
        assert entry_state(day.entry).value == "loaded"
        things = (
            hass,
            hass_client,
            hass_ws_client,
            hass_storage,
            log,
            events,
            start,
            hass_admin_user,
            hass_admin_credential,
        )
        places = await look(*things)
        # Every fault happened, and every place has something to search
        assert min(day.happened.values()) >= 4, day.happened
        assert len(day.tokens) == 4
        for name, text in SHOWN.items():
            assert text in places[name], name
        finder = Finder(day.tokens)
        found = {name: finder.find(text) for name, text in places.items()}
        leaks = [f"{name}: {text}" for name, text in found.items() if text]
        assert not leaks, "\n".join(leaks)

        # The same search finds the token in every place after it was planted there
        with planted(hass, day.entry, day.tokens[-1]):
            await hass.async_block_till_done()
            places = await look(*things)
        assert [name for name in places if not finder.find(places[name])] == []


@contextmanager
def planted(hass: HomeAssistant, entry: Any, token: str) -> Iterator[None]:
    """Put a token into every place, each time in a different spelling."""
    spelled = cycle(spellings(token))
    logging.getLogger("custom_components.metaapi").debug("Said %s", next(spelled))
    hass.states.async_set("sensor.planted", token[-40:], {"said": next(spelled)})
    hass.bus.async_fire("plant", {"said": next(spelled)})
    hass.bus.async_fire("logbook_entry", {"name": "It", "message": next(spelled)})
    persistent_notification.async_create(hass, next(spelled))
    ir.async_create_issue(
        hass,
        DOMAIN,
        "planted",
        is_fixable=True,
        severity=ir.IssueSeverity.WARNING,
        translation_key="planted",
        translation_placeholders={"said": next(spelled)},
    )
    devices = dr.async_get(hass)
    device = dr.async_entries_for_config_entry(devices, entry.entry_id)[0]
    devices.async_update_device(device.id, name_by_user=next(spelled))
    hass.config_entries.async_update_entry(entry, title=next(spelled))
    entry.async_start_reauth(
        hass, context={"title_placeholders": {"name": next(spelled)}}
    )
    # A listing that succeeds would remove the error, and the request for a new token
    entry.runtime_data.facts.async_stop()
    entry.runtime_data.facts.last_error = next(spelled)
    with patch.object(Redactor, "redact", lambda _, value: value):
        yield
