"""The control API, the page, and the simulator as a process."""

import asyncio
from asyncio.subprocess import PIPE, Process
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
import json
from pathlib import Path
import re
import signal
import sys
from typing import Any

import aiohttp
import pytest

from simulator import PER_USER, Simulator, control, demo_accounts

from .client import Clients

ROOT = Path(__file__).parents[2]


async def post(
    sim: Simulator, session: aiohttp.ClientSession, path: str, body: Any = None
) -> tuple[int, Any]:
    """Return the status and the body of an answer."""
    async with session.post(f"{sim.url}/simulator/{path}", json=body) as response:
        return response.status, await response.json()


ACCOUNT_CALLS: list[
    tuple[str, dict[str, Any], Callable[[Simulator], object], object]
] = [
    ("terminal", {"up": False}, lambda sim: sim.account.up, False),
    ("terminal", {"up": False, "host": "none"}, lambda sim: sim.account.up, True),
    ("terminal", {"up": False, "announce": False}, lambda sim: sim.account.up, False),
    ("broker", {"up": False}, lambda sim: sim.account.broker, False),
    ("silence", {}, lambda sim: sim.account.events.silent, True),
    ("silence", {"silent": False}, lambda sim: sim.account.events.silent, False),
    (
        "authenticated",
        {"authenticated": False},
        lambda sim: sim.account.events.authenticated,
        False,
    ),
    ("state", {"state": "UNDEPLOYED"}, lambda sim: sim.account.state, "UNDEPLOYED"),
    (
        "reconnect_mode",
        {"mode": "ignore"},
        lambda sim: sim.account.reconnecting.mode,
        "ignore",
    ),
    (
        "reconnect_mode",
        {"mode": "refuse", "error": "ForbiddenError", "details": "E", "delay": 1},
        lambda sim: (
            sim.account.reconnecting.error,
            sim.account.reconnecting.details,
            sim.account.reconnecting.delay,
        ),
        ("ForbiddenError", "E", 1),
    ),
    (
        "subscribe_mode",
        {"mode": "refuse", "error": "NotFoundError"},
        lambda sim: (sim.account.subscribing.mode, sim.account.subscribing.error),
        ("refuse", "NotFoundError"),
    ),
    ("name", {"name": "New"}, lambda sim: sim.account.name, "New"),
    (
        "region",
        {"region": "new-york", "zones": [0, 1]},
        lambda sim: (sim.account.region, sim.account.zones),
        ("new-york", (0, 1)),
    ),
    ("rest", {"state": "DRAFT"}, lambda sim: sim.account.rest, {"state": "DRAFT"}),
    ("event", {"type": "odd"}, lambda sim: None, None),
    ("delete", {}, lambda sim: len(sim.accounts), 1),
]


@pytest.mark.parametrize(("action", "body", "read", "expected"), ACCOUNT_CALLS)
async def test_account_calls(
    sim: Simulator,
    session: aiohttp.ClientSession,
    action: str,
    body: dict[str, Any],
    *,
    read: Callable[[Simulator], object],
    expected: object,
) -> None:
    """Each does what its method does."""
    status, answer = await post(
        sim, session, f"accounts/{sim.account.id}/{action}", body
    )
    assert (status, answer["ok"]) == (200, True)
    assert read(sim) == expected


def read_claims(token: str) -> Any:
    """Return the claims of a JWT."""
    body = token.split(".")[1]
    return json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))


CALLS: list[tuple[str, dict[str, Any], Callable[[Simulator], object], object]] = [
    ("sockets/freeze", {}, lambda sim: sim.frozen, True),
    ("sockets/unfreeze", {}, lambda sim: sim.frozen, False),
    (
        "sockets/refuse",
        {"status": 429, "retry_after": 3},
        lambda sim: (sim.wire.refuse_status, sim.wire.refuse_retry_after),
        (429, 3),
    ),
    ("sockets/refuse", {"status": None}, lambda sim: sim.wire.refuse_status, None),
    ("tokens/revoke", {}, lambda sim: sim.tokens[sim.token].revoked, True),
    ("tokens/grant", {"token": "t"}, lambda sim: sim.tokens["t"].provisioning, True),
    (
        "tokens/grant",
        {
            "token": "t",
            "owner": "o",
            "provisioning": False,
            "streaming": False,
            "accounts": ["a"],
        },
        lambda sim: (
            sim.tokens["t"].owner,
            sim.tokens["t"].provisioning,
            sim.tokens["t"].streaming,
            sim.tokens["t"].accounts,
        ),
        ("o", False, False, {"a"}),
    ),
    (
        "tokens/grant",
        {"expires": 1_900_000_000},
        lambda sim: read_claims(list(sim.tokens)[-1])["exp"],
        1_900_000_000,
    ),
    (
        "rest",
        {"status": 500, "path": "/users", "count": 2, "retry_after": 1},
        lambda sim: (
            sim.rest_fault
            and (
                sim.rest_fault.status,
                sim.rest_fault.span.count,
            )
        ),
        (500, 2),
    ),
    ("rest", {"status": None}, lambda sim: sim.rest_fault, None),
    (
        "limit",
        {"type": PER_USER, "retry_after": 2, "count": 1},
        lambda sim: (
            sim.limit and (sim.limit.type, sim.limit.retry_after, sim.limit.count)
        ),
        (PER_USER, 2, 1),
    ),
    ("limit", {"type": None}, lambda sim: sim.limit, None),
    (
        "requests/refuse",
        {
            "error": "InternalError",
            "type": "reconnect",
            "url": "u",
            "accounts": ["a"],
            "count": 2,
            "message": "m",
            "details": {},
            "retry_after": 3,
        },
        lambda sim: [
            (
                each.error,
                each.type,
                each.url,
                each.accounts,
                each.span.count,
                each.span.until,
                each.message,
                each.details,
                each.retry_after,
            )
            for each in sim.box.cloud.faults
        ],
        [("InternalError", "reconnect", "u", {"a"}, 2, None, "m", {}, 3)],
    ),
    (
        "requests/mute",
        {"seconds": 60},
        lambda sim: [
            (each.error, each.type, each.span.count, each.span.until is None)
            for each in sim.box.cloud.faults
        ],
        [(None, "subscribe", None, False)],
    ),
    ("requests/accept", {}, lambda sim: sim.box.cloud.faults, []),
    (
        "sockets/greet",
        {"events": [{"type": "odd"}]},
        lambda sim: sim.wire.greeting,
        [{"type": "odd"}],
    ),
    (
        "sockets/refuse",
        {"status": 302, "location": "http://x/"},
        lambda sim: (sim.wire.refuse_status, sim.wire.refuse_location),
        (302, "http://x/"),
    ),
    (
        "tokens/revoke",
        {"seconds": 60},
        lambda sim: sim.tokens[sim.token].revoked,
        True,
    ),
    ("tokens/restore", {}, lambda sim: sim.tokens[sim.token].revoked, False),
    (
        "settings",
        {
            "status_interval": 1.5,
            "payload_form": "object",
            "minimal_authenticated": True,
            "max_accounts_per_user": 3,
            "max_accounts_per_server": None,
            "provisioning_refusal": 401,
        },
        lambda sim: (
            sim.timing.status_interval,
            sim.wire.payload_form,
            sim.wire.minimal_authenticated,
            sim.quotas.max_accounts_per_user,
            sim.api.provisioning_refusal,
        ),
        (1.5, "object", True, 3, 401),
    ),
    (
        "accounts",
        {"name": "Third", "login": "1", "region": "r", "zones": [1]},
        lambda sim: [
            (each.name, each.login, each.region, each.zones)
            for each in sim.accounts.values()
        ][-1],
        ("Third", "1", "r", (1,)),
    ),
]


@pytest.mark.parametrize(("path", "body", "read", "expected"), CALLS)
async def test_calls(
    sim: Simulator,
    session: aiohttp.ClientSession,
    path: str,
    body: dict[str, Any],
    *,
    read: Callable[[Simulator], object],
    expected: object,
) -> None:
    """Each does what its method does."""
    status, answer = await post(sim, session, path, body)
    assert (status, answer["ok"]) == (200, True)
    assert read(sim) == expected


@pytest.mark.parametrize(
    ("path", "body", "frames"),
    [
        ("sockets/drop", None, []),
        ("sockets/close", {}, ["41", "1"]),
        ("sockets/close", {"namespace": False, "packet": False}, []),
    ],
)
async def test_calls_that_end_sockets(
    sim: Simulator, connect: Clients, path: str, body: Any, frames: list[str]
) -> None:
    """The answer says how many there were."""
    client = await connect(sim)
    assert await post(sim, connect.session, path, body) == (
        200,
        {"ok": True, "sockets": 1},
    )
    assert await client.ended() == frames


@pytest.mark.parametrize(
    ("path", "body", "frame"),
    [
        ("sockets/inject", {"text": "42{"}, "42{"),
        ("sockets/error", {"data": {"a": 1}}, '44{"a":1}'),
        ("sockets/error", {}, '44"Error"'),
        ("sockets/disconnect", {}, "41"),
    ],
)
async def test_calls_that_send(
    sim: Simulator, connect: Clients, path: str, body: Any, frame: str
) -> None:
    """To all sockets; or to those of one account, here none."""
    client = await connect(sim)
    narrow = body | {"account": sim.account.id}
    assert (await post(sim, connect.session, path, narrow))[1]["sockets"] == 0
    assert (await post(sim, connect.session, path, body))[1]["sockets"] == 1
    assert await client.frame() == frame


async def test_every_call_is_documented_and_tested() -> None:
    """The table of the README, the code and the tests name the same calls."""
    readme = (ROOT / "simulator" / "README.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `POST /simulator/(\S+?)`", readme, re.MULTILINE))
    calls = set(control.ACTIONS) | {
        f"accounts/ID/{each}" for each in control.ACCOUNT_ACTIONS
    }
    assert documented == calls
    tested = {f"accounts/ID/{each[0]}" for each in ACCOUNT_CALLS} | {
        each[0] for each in CALLS
    }
    sending = {"drop", "close", "inject", "error", "disconnect"}
    assert tested | {f"sockets/{each}" for each in sending} == calls


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("sockets/drop", []),
        ("sockets/inject", {}),
        ("sockets/refuse", {"status": 99}),
        ("sockets/refuse", {"status": "429"}),
        ("tokens/revoke", {"token": "nobody's"}),
        ("tokens/grant", {"accounts": "a"}),
        ("rest", {"status": 500, "count": -1}),
        ("limit", {"type": "LIMIT"}),
        ("settings", {"nothing": 1}),
        ("settings", {"status_interval": 0}),
        ("settings", {"status_interval": None}),
        ("settings", {"status_interval": True}),
        ("settings", {"payload_form": "xml"}),
        ("settings", {"minimal_authenticated": 1}),
        ("accounts", {}),
        ("accounts", {"name": "x", "zones": [7]}),
        ("accounts/{id}/terminal", {}),
        ("accounts/{id}/terminal", {"up": "no"}),
        ("accounts/{id}/state", {"state": "GONE"}),
        ("accounts/{id}/reconnect_mode", {"mode": "maybe"}),
        ("accounts/{id}/region", {"zones": []}),
    ],
)
async def test_bad_bodies(
    sim: Simulator, session: aiohttp.ClientSession, path: str, body: Any
) -> None:
    """Are refused with a reason, and change nothing."""
    before = control.snapshot(sim.box)
    status, answer = await post(sim, session, path.format(id=sim.account.id), body)
    assert status == 400
    assert answer["error"]
    assert control.snapshot(sim.box) == before


async def test_body_that_is_no_json(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """Likewise."""
    url = f"{sim.url}/simulator/sockets/drop"
    for data in (b"{", b"\xff", b"[" * 100_000):
        async with session.post(url, data=data) as response:
            assert response.status == 400


async def test_unknown_account_or_action(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """Not found."""
    assert (await post(sim, session, "accounts/x/terminal", {"up": True}))[0] == 404
    assert (await post(sim, session, f"accounts/{sim.account.id}/x", {}))[0] == 404


async def test_pages_of_others_may_do_nothing(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """Not even from the same browser."""
    url = f"{sim.url}/simulator/accounts/{sim.account.id}/delete"
    async with session.post(url, headers={"Origin": "http://elsewhere"}) as response:
        assert response.status == 403
    assert len(sim.accounts) == 2
    async with session.post(url, headers={"Origin": sim.url}) as response:
        assert response.status == 200


async def test_state_tells_all_but_the_token(sim: Simulator, connect: Clients) -> None:
    """What the page shows."""
    client = await connect(sim, protocol="3")
    await client.subscribe(sim.account.id)
    async with connect.session.get(f"{sim.url}/simulator/state") as response:
        text = await response.text()
    assert sim.token not in text
    state = json.loads(text)
    assert state["accounts"][0]["terminal"] is True
    assert [each["subscribed"] for each in state["accounts"]] == [1, 0]
    assert state["sockets"][0]["protocol"] == "3"


async def test_page_stands_alone(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """It loads nothing from elsewhere."""
    async with session.get(sim.url) as response:
        assert response.content_type == "text/html"
        text = await response.text()
    assert "http" not in text
    assert "src=" not in text
    assert "innerHTML" not in text


def test_demo_accounts() -> None:
    """The first four are in different conditions."""
    conditions = [
        (account.state, account.connection_status) for account in demo_accounts(6)
    ]
    assert conditions == [
        ("DEPLOYED", "CONNECTED"),
        ("DEPLOYED", "DISCONNECTED"),
        ("DEPLOYED", "DISCONNECTED_FROM_BROKER"),
        ("UNDEPLOYED", "DISCONNECTED"),
        ("DEPLOYED", "CONNECTED"),
        ("DEPLOYED", "CONNECTED"),
    ]
    ids = [account.id for account in demo_accounts(6)]
    assert ids == [account.id for account in demo_accounts(6)]
    assert len(set(ids)) == 6
    assert len(demo_accounts(2)) == 2


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Start simulators as processes."""
    running: list[Process] = []

    async def run(*arguments: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "simulator",
            *arguments,
            cwd=ROOT,
            stdout=PIPE,
            stderr=PIPE,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.real_time
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_process(
    session: aiohttp.ClientSession, start: Callable[..., Any], number: signal.Signals
) -> None:
    """It says where it is, serves, and ends when told to, with sockets open."""
    process = await start(
        "--port", "0", "--accounts", "5", "--json", "--token", "secret"
    )
    async with asyncio.timeout(20):
        told = json.loads(await process.stdout.readline())
        assert told["token"] == "secret"
        assert [each["status"] for each in told["accounts"]] == [
            "CONNECTED",
            "DISCONNECTED",
            "DISCONNECTED_FROM_BROKER",
            "DISCONNECTED",
            "CONNECTED",
        ]
        params = {"EIO": "3", "transport": "websocket", "auth-token": "secret"}
        ws = await session.ws_connect(told["url"] + "/ws/", params=params)
        await ws.receive()
        process.send_signal(number)
        output, errors = await process.communicate()
    assert process.returncode == 0
    assert (output, errors) == (b"", b"")
    await ws.close()


@pytest.mark.real_time
async def test_process_greets(start: Callable[..., Any]) -> None:
    """With address, token and accounts, for a person."""
    process = await start("--accounts", "1", "--conditions", "up")
    async with asyncio.timeout(20):
        lines = [(await process.stdout.readline()).decode() for _ in range(4)]
    assert re.match(r"MetaApi simulator on http://127\.0\.0\.1:\d+ ", lines[0])
    assert re.match(r"Token: \S+\.\S+\.\S+\n", lines[1])
    assert "CONNECTED" in lines[3]


@pytest.mark.real_time
async def test_port_that_is_taken(sim: Simulator, start: Callable[..., Any]) -> None:
    """One line that says so, and no traceback."""
    process = await start("--port", sim.url.rsplit(":", 1)[1])
    async with asyncio.timeout(20):
        output, errors = await process.communicate()
    assert process.returncode == 1
    assert output == b""
    assert errors.startswith(b"simulator: ")
    assert errors.count(b"\n") == 1


@pytest.mark.real_time
@pytest.mark.parametrize(
    "arguments", [("--accounts", "-1"), ("--status-interval", "0"), ("--port", "x")]
)
async def test_bad_arguments(
    start: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    """Are refused with the usage."""
    process = await start(*arguments)
    async with asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"usage:" in errors
