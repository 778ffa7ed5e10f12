"""Test the provisioning API over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
import json

import aiohttp
from aiohttp import web
from api.endpoints import Endpoints
from api.errors import (
    CannotConnectError,
    ForbiddenError,
    InternalError,
    MetaApiError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
    from_status,
)
from api.model import Account, Replica, ServerSettings
from api.rest import READ_AT_ONCE, REFUSES, Provisioning, rest_pause
import pytest

from simulator import SimAccount, Simulator


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Return a simulator with two accounts."""
    async with Simulator(accounts=2) as simulator:
        yield simulator


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Return an HTTP session."""
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture
def provisioning(sim: Simulator, session: aiohttp.ClientSession) -> Provisioning:
    """Return a client of the simulator."""
    return Provisioning(session, sim.token, Endpoints(api_url=sim.url))


async def test_accounts(sim: Simulator, provisioning: Provisioning) -> None:
    """Every field of an account is read."""
    accounts = await provisioning.accounts()
    assert [account.account_id for account in accounts] == list(sim.accounts)
    one = accounts[0]
    assert one.name == sim.account.name
    assert one.login == sim.account.login
    assert one.server == sim.account.server
    assert (one.platform, one.type, one.region) == (
        "MetaTrader 5",
        "cloud-g2",
        "london",
    )
    assert one.deployed
    assert one.connection_status == "CONNECTED"


async def test_accounts_come_in_pages(
    sim: Simulator, provisioning: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pages are read."""
    monkeypatch.setattr("api.rest.PAGE_SIZE", 2)
    for number in range(3):
        sim.add_account(replace(sim.account, id=f"extra-{number}"))
    assert len(await provisioning.accounts()) == 5
    assert len(sim.rest_calls) == 3


async def test_a_long_listing_leaves_room_for_others(
    sim: Simulator, provisioning: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other tasks run after each few accounts."""
    for number in range(2 * READ_AT_ONCE):
        sim.add_account(replace(sim.account, id=f"extra-{number}"))
    loop = asyncio.get_running_loop()
    read_in_turn = [0]

    def another_turn() -> None:
        read_in_turn.append(0)
        loop.call_soon(another_turn)

    def from_json(data: object) -> Account | None:
        read_in_turn[-1] += 1
        return read(data)

    read = Account.from_json
    monkeypatch.setattr(Account, "from_json", from_json)
    loop.call_soon(another_turn)

    accounts = await provisioning.accounts()

    assert len(accounts) == sum(read_in_turn) == 2 * READ_AT_ONCE + 2
    assert max(read_in_turn) == READ_AT_ONCE


async def test_replicas_are_no_accounts(
    sim: Simulator, provisioning: Provisioning
) -> None:
    """A replica belongs to its primary account."""
    sim.add_account(replace(sim.account, id="replica", primary_id=sim.account.id))
    accounts = {a.account_id: a for a in await provisioning.accounts()}
    assert "replica" not in accounts
    assert accounts[sim.account.id].replicas == (
        Replica(account_id="replica", region="london", state="DEPLOYED"),
    )


async def test_one_account(sim: Simulator, provisioning: Provisioning) -> None:
    """An account is read by its id."""
    account = await provisioning.account(sim.account.id)
    assert account.account_id == sim.account.id
    with pytest.raises(NotFoundError):
        await provisioning.account("nobody/../x")


async def test_check_and_settings(sim: Simulator, provisioning: Provisioning) -> None:
    """The token is checked with a cheap call, and the server settings are read."""
    await provisioning.check()
    assert await provisioning.server_settings() == ServerSettings()
    sim.api.server_settings = {"hostname": "mine", "domain": "example.org"}
    assert await provisioning.server_settings() == ServerSettings(
        hostname="mine", domain="example.org"
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ValidationError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (429, TooManyRequestsError),
        (500, InternalError),
        (502, InternalError),
    ],
)
async def test_errors(
    sim: Simulator, provisioning: Provisioning, status: int, error: type[Exception]
) -> None:
    """Each status raises its exception."""
    sim.fail_rest(status, retry_after=7)
    with pytest.raises(error) as caught:
        await provisioning.accounts()
    assert sim.token not in str(caught.value)
    if isinstance(caught.value, TooManyRequestsError):
        assert caught.value.retry_at is not None
        assert caught.value.metadata["retryAfter"] == "7"


async def test_refused_token(sim: Simulator, session: aiohttp.ClientSession) -> None:
    """A wrong token raises its own exception."""
    wrong = Provisioning(session, "wrong", Endpoints(api_url=sim.url))
    with pytest.raises(UnauthorizedError):
        await wrong.check()


@pytest.mark.parametrize(
    "handler",
    [
        lambda token: web.Response(text="<html>"),
        lambda token: web.Response(text="[" * 100_000),
        lambda token: web.json_response({"accounts": []}),
        lambda token: web.json_response("text"),
        lambda token: web.Response(
            status=302, headers={"Location": "http://127.0.0.1:9/"}
        ),
        lambda token: web.Response(status=204),
    ],
)
async def test_answers_that_are_not_metaapis(
    session: aiohttp.ClientSession, handler: Callable[[str], web.Response]
) -> None:
    """Invalid answers are connection errors, and redirects are not followed."""
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return handler("")

    async with serve(answer) as url:
        client = Provisioning(session, "secret", Endpoints(api_url=url))
        with pytest.raises((CannotConnectError, InternalError)):
            await client.accounts()
        assert len(seen) == 1


async def test_entries_that_are_no_accounts_are_left_out(
    session: aiohttp.ClientSession,
) -> None:
    """An invalid entry does not affect the others."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(
            {"items": [5, {}, {"_id": 5}, {"id": "x", "version": "5", "login": 7}]}
        )

    async with serve(answer) as url:
        client = Provisioning(session, "secret", Endpoints(api_url=url))
        accounts = await client.accounts()
    assert [a.account_id for a in accounts] == ["5", "x"]
    assert accounts[1] == Account(account_id="x", login="7")


async def test_token_in_an_error(
    session: aiohttp.ClientSession,
) -> None:
    """A token that the server repeats in an error is redacted."""

    async def answer(request: web.Request) -> web.Response:
        body = {"message": f"bad token {request.headers['auth-token']}"}
        return web.Response(status=403, text=json.dumps(body))

    async with serve(answer) as url:
        client = Provisioning(session, "s3cr3t", Endpoints(api_url=url))
        with pytest.raises(ForbiddenError) as caught:
            await client.accounts()
    assert str(caught.value) == "bad token **REDACTED**"


async def test_nobody_there(session: aiohttp.ClientSession) -> None:
    """The error of a refused connection contains neither the URL nor the token."""
    client = Provisioning(session, "s3cr3t", Endpoints(api_url="http://127.0.0.1:9"))
    with pytest.raises(CannotConnectError) as caught:
        await client.accounts()
    assert caught.value.__cause__ is None
    assert "s3cr3t" not in str(caught.value)


class serve:
    """Serve one handler for every path."""

    def __init__(self, handler: Callable[..., object]) -> None:
        """Store the handler."""
        self._handler = handler

    async def __aenter__(self) -> str:
        """Start, and return the base URL."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handler)  # type: ignore[arg-type]
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def __aexit__(self, *args: object) -> None:
        """Stop."""
        await self._runner.cleanup()


async def test_the_pages_have_an_end(
    sim: Simulator, provisioning: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that always has another page does not cause an endless loop."""
    monkeypatch.setattr("api.rest.PAGE_SIZE", 1)
    monkeypatch.setattr("api.rest._PAGES_MAX", 2)
    sim.add_account(SimAccount())
    sim.add_account(SimAccount())
    assert len(sim.accounts) > 2
    assert len(await provisioning.accounts()) == 2
    assert len(sim.rest_calls) == 2


async def test_an_account_without_an_id(
    sim: Simulator, provisioning: Provisioning
) -> None:
    """Such an answer is not MetaApi's."""
    sim.set_rest(sim.account.id, _id="", id=None)
    with pytest.raises(CannotConnectError):
        await provisioning.account(sim.account.id)


async def test_an_endless_answer_is_not_read(
    sim: Simulator, provisioning: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fill the memory."""
    monkeypatch.setattr("api.rest.MAX_BODY_SIZE", 100)
    with pytest.raises(CannotConnectError, match="ValueError"):
        await provisioning.accounts()


async def test_token_in_a_name(sim: Simulator, provisioning: Provisioning) -> None:
    """A token in the name of an account is redacted."""
    sim.add_account(replace(sim.account, id="theirs", name=f"Mine {sim.token}"))
    *_, listed = await provisioning.accounts()
    assert listed.name == "Mine **REDACTED**"
    assert await provisioning.account("theirs") == listed


async def test_escaped_token(sim: Simulator, provisioning: Provisioning) -> None:
    """JSON can escape the same text in many ways."""
    escaped = "".join(f"\\u{ord(char):04x}" for char in sim.token)
    sim.fail_rest(400, body=f'{{"details": {{"x": ["{escaped}"]}}}}')
    with pytest.raises(ValidationError) as caught:
        await provisioning.accounts()
    assert caught.value.details == {"x": ["**REDACTED**"]}


async def test_lone_surrogate(sim: Simulator, provisioning: Provisioning) -> None:
    """JavaScript's `substring` creates them, and Home Assistant cannot store them."""
    half = "Rocket \\ud83d"
    fields = ("name", "type", "region", "server", "state", "connectionStatus")
    body = ", ".join(f'"{field}": "{half}"' for field in fields)
    sim.fail_rest(200, body=f'[{{"_id": "abc", {body}}}]')
    (account,) = await provisioning.accounts()
    assert account.name == "Rocket \N{REPLACEMENT CHARACTER}"
    for text in (account.type, account.region, account.server, account.state):
        assert text == "Rocket \N{REPLACEMENT CHARACTER}"
        text.encode()


async def test_error_text_is_valid(sim: Simulator, provisioning: Provisioning) -> None:
    """The text of an error is logged and shown, so it must be valid Unicode."""
    sim.fail_rest(400, body='{"message": "Rocket \\ud83d\\nERROR forged"}')
    with pytest.raises(ValidationError) as caught:
        await provisioning.accounts()
    assert str(caught.value) == "Rocket \N{REPLACEMENT CHARACTER} ERROR forged"


@pytest.mark.parametrize("text", ["x" * 200_000, "a@" * 100_000, "\n" * 200_000 + "x"])
async def test_texts_are_bounded(
    sim: Simulator, provisioning: Provisioning, text: str
) -> None:
    """Long texts of a server are truncated."""
    body = json.dumps([{"_id": "abc", "name": text, "accountReplicas": [text]}])
    sim.fail_rest(200, body=body)
    (account,) = await provisioning.accounts()
    assert len(account.name) <= 256


NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)


def test_every_answer_of_rest_has_a_rule() -> None:
    """There is a rule for each status of the provisioning API, and for a missing answer."""
    assert {type(from_status(status)) for status in range(400, 600)} == set(REFUSES) - {
        CannotConnectError
    }
    assert {cls for cls, refuses in REFUSES.items() if refuses} == {
        TooManyRequestsError,
        UnauthorizedError,
        ForbiddenError,
    }


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (CannotConnectError("nobody"), 0),
        (InternalError("fault"), 0),
        (NotFoundError("who"), 0),
        (MetaApiError("odd"), 0),
        (UnauthorizedError("you"), 300),
        (ForbiddenError("no"), 300),
        (TooManyRequestsError("slow down"), 300),
        (TooManyRequestsError("because", metadata={"retryAfter": "20"}), 300),
        (TooManyRequestsError("because", metadata={"retryAfter": "600"}), 600),
        (
            TooManyRequestsError(
                "because", metadata={"recommendedRetryTime": "2026-01-05T10:20:00Z"}
            ),
            1200,
        ),
        (ForbiddenError("because", metadata={"retryAfter": "600"}), 300),
    ],
)
def test_pauses_of_rest(error: MetaApiError, seconds: float) -> None:
    """A 429 has its requested pause, and every other refusal the floor."""
    assert rest_pause(error, NOW, 300.0) == seconds
