"""The control API under `/simulator/`, and the page at `/`."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, get_args

from aiohttp import web

from .account import STATES, ReconnectMode, SimAccount, SubscribeMode, hosts_in
from .body import Body, BodyError
from .box import Box
from .limits import LIMIT_TYPES
from .messages import TYPES
from .settings import BadToken, PayloadForm
from .tokens import DEFAULT_OWNER

type Action = Callable[[Box, Body], Any]
type AccountAction = Callable[[Box, str, Body], Any]

PAGE = Path(__file__).with_name("page.html")

RECONNECT_MODES = get_args(ReconnectMode.__value__)
SUBSCRIBE_MODES = get_args(SubscribeMode.__value__)

# Settings that may be changed over HTTP: the type of the value, or the allowed values.
SETTINGS: dict[str, type | Collection[str]] = {
    "ping_interval": float,
    "ping_timeout": float,
    "status_interval": float,
    "subscribe_timeout": float,
    "reconnect_delay": float,
    "reply_delay": float,
    "handshake_delay": float,
    "rest_delay": float,
    "connect_delay": float,
    "response_delay": float,
    "authenticated_delay": float,
    "subscription_lifetime": float,
    "sticky_lifetime": float,
    "answer_pings": bool,
    "wrong_region": int,
    "quota_retry_after": float,
    "minimal_authenticated": bool,
    "max_accounts_per_user": int,
    "max_accounts_per_user_per_server": int,
    "max_accounts_per_server": int,
    "provisioning_refusal": int,
    "payload_form": get_args(PayloadForm.__value__),
    "bad_token": get_args(BadToken.__value__),
}
NULLABLE = {name for name in SETTINGS if name.startswith("max_accounts")} | {
    "subscription_lifetime"
}


def snapshot(box: Box) -> dict[str, Any]:
    """Return the state of the simulator, without any token."""
    limit = box.cloud.limits.demanded
    return {
        "url": box.rest.url,
        "frozen": box.engine.frozen,
        "refuse": box.settings.wire.refuse_status,
        "limit": limit.type if limit else None,
        "faults": [
            {"type": each.type, "error": each.error, "url": each.url}
            for each in box.cloud.faults
            if not each.span.over
        ],
        "rest": box.rest.fault.status if box.rest.fault else None,
        "accounts": [_account(box, each) for each in box.cloud.accounts.values()],
        "sockets": [
            {
                "sid": socket.sid,
                "region": socket.listener.region,
                "instance": socket.listener.instance,
                "protocol": socket.query.get("protocol"),
                "seconds": round(
                    asyncio.get_running_loop().time() - socket.opened_at, 1
                ),
                "pings": socket.pings,
                "requests": len(socket.requests),
                "bad_frames": socket.bad_frames,
            }
            for socket in box.sockets.all()
        ],
        "requests": len(box.cloud.requests),
        "handshakes": len(box.engine.handshakes),
        "rest_calls": len(box.rest.calls),
        "settings": {name: box.settings.get(name) for name in SETTINGS},
    }


def _account(box: Box, account: SimAccount) -> dict[str, Any]:
    """Return the state of an account."""
    return {
        "id": account.id,
        "name": account.name,
        "login": account.login,
        "server": account.server,
        "region": account.region,
        "state": account.state,
        "terminal": account.deployed and account.up,
        "hosts": [
            {"name": each.name, "zone": each.zone, "up": each.up}
            for each in account.hosts
        ],
        "broker": account.broker,
        "silent": account.events.silent,
        "status_authenticated": account.events.authenticated,
        "connectionStatus": account.connection_status,
        "subscribe_mode": account.subscribing.mode,
        "reconnect_mode": account.reconnecting.mode,
        "reconnects": account.reconnecting.count,
        "last_reconnect": account.reconnecting.last,
        "last_reconnect_outcome": account.reconnecting.outcome,
        "subscribed": len(box.sockets.subscribed(account.id)),
    }


def _zones(body: Body) -> list[int] | None:
    """Return a list of zones, or None if the field is missing."""
    zones = body.data.get("zones")
    if zones is None:
        return None
    if (
        not isinstance(zones, list)
        or not zones
        or not all(zone in (0, 1) for zone in zones)
    ):
        raise BodyError("zones must be a list of 0 and 1")
    return [int(zone) for zone in zones]


def _rest_fields(box: Box, account_id: str, body: Body) -> None:
    """Make REST show other values; an empty object restores the real ones."""
    box.upstream.set_rest(account_id, **body.data)


def _set(box: Box, body: Body) -> dict[str, Any]:
    """Change settings; if one is invalid, change none."""
    values: dict[str, Any] = {}
    for name in body.data:
        kind = SETTINGS.get(name)
        if kind is None:
            raise BodyError(f"no such setting: {name[:50]}")
        if body.data[name] is None and name in NULLABLE:
            values[name] = None
        elif kind is bool:
            values[name] = body.flag(name)
        elif kind is float:
            values[name] = body.number(name)
        elif kind is int:
            values[name] = int(body.number(name))
        elif not isinstance(kind, type):
            values[name] = body.text(name, kind)
    if min(values.get(name, 1) for name in ("status_interval", "ping_interval")) <= 0:
        raise BodyError("intervals must be more than 0")
    for name, value in values.items():
        box.settings.set(name, value)
    return {name: box.settings.get(name) for name in SETTINGS}


def _add(box: Box, body: Body) -> dict[str, Any]:
    """Create an account."""
    account = SimAccount(
        name=body.text("name"),
        login=body.maybe_text("login") or "90210",
        hosts=hosts_in(_zones(body) or (0,)),
    )
    account.region = body.maybe_text("region") or account.region
    return {"id": box.upstream.add_account(account).id}


def _grant(box: Box, body: Body) -> dict[str, Any]:
    """Accept a token."""
    token = box.access.grant(
        body.maybe_text("token"),
        owner=body.maybe_text("owner") or DEFAULT_OWNER,
        provisioning=body.flag("provisioning", True),
        streaming=body.flag("streaming", True),
        accounts=body.maybe_texts("accounts"),
        expires=body.maybe_count("expires"),
    )
    return {"token": token}


def _revoke(box: Box, body: Body) -> None:
    """Refuse a token."""
    token = body.maybe_text("token")
    if token is not None and token not in box.cloud.tokens:
        raise BodyError("no such token")
    box.access.revoke(
        token, drop=body.flag("drop", False), seconds=body.maybe_number("seconds")
    )


def _restore(box: Box, body: Body) -> None:
    """Accept a token again."""
    token = body.maybe_text("token")
    if token is not None and token not in box.cloud.tokens:
        raise BodyError("no such token")
    box.access.restore(token)


def _greet(box: Box, body: Body) -> None:
    """Set the events that are sent in the same TCP segment as `40`."""
    events = body.data.get("events", [])
    if not isinstance(events, list) or not all(
        isinstance(each, dict) for each in events
    ):
        raise BodyError("events must be a list of objects")
    box.settings.wire.greeting = events


def _refuse_requests(box: Box, body: Body) -> None:
    """Refuse requests."""
    box.upstream.refuse_requests(
        body.text("error"),
        type=body.maybe_text("type", TYPES) or "subscribe",
        url=body.maybe_text("url"),
        accounts=body.maybe_texts("accounts"),
        count=body.maybe_count("count"),
        seconds=body.maybe_number("seconds"),
        message=body.maybe_text("message") or "Refused by the simulator",
        details=body.data.get("details"),
        retry_after=body.maybe_number("retry_after"),
    )


def _mute_requests(box: Box, body: Body) -> None:
    """Leave requests unanswered."""
    box.upstream.mute_requests(
        type=body.maybe_text("type", TYPES) or "subscribe",
        url=body.maybe_text("url"),
        accounts=body.maybe_texts("accounts"),
        count=body.maybe_count("count"),
        seconds=body.maybe_number("seconds"),
    )


def _event(box: Box, account_id: str, body: Body) -> dict[str, Any]:
    """Send an event as if the account had caused it."""
    return {"sockets": box.upstream.inject_event(account_id, body.data)}


ACCOUNT_ACTIONS: dict[str, AccountAction] = {
    "terminal": lambda box, account, body: box.upstream.set_terminal(
        account,
        body.flag("up"),
        host=body.maybe_text("host"),
        announce=body.flag("announce", True),
    ),
    "broker": lambda box, account, body: box.upstream.set_broker(
        account, body.flag("up")
    ),
    "silence": lambda box, account, body: box.upstream.set_silent(
        account, body.flag("silent", True)
    ),
    "authenticated": lambda box, account, body: box.upstream.set_status_authenticated(
        account, body.flag("authenticated")
    ),
    "state": lambda box, account, body: box.upstream.set_state(
        account, body.text("state", STATES)
    ),
    "reconnect_mode": lambda box, account, body: box.upstream.set_reconnect_mode(
        account,
        body.text("mode", RECONNECT_MODES),  # type: ignore[arg-type]
        error=body.maybe_text("error"),
        details=body.data.get("details"),
        delay=body.maybe_number("delay"),
    ),
    "subscribe_mode": lambda box, account, body: box.upstream.set_subscribe_mode(
        account,
        body.text("mode", SUBSCRIBE_MODES),  # type: ignore[arg-type]
        error=body.maybe_text("error"),
    ),
    "name": lambda box, account, body: box.upstream.rename(account, body.text("name")),
    "region": lambda box, account, body: box.upstream.move(
        account,
        body.maybe_text("region"),
        _zones(body),
        announce=body.flag("announce", True),
    ),
    "rest": _rest_fields,
    "event": _event,
    "delete": lambda box, account, body: box.upstream.delete_account(account),
}

ACTIONS: dict[str, Action] = {
    "accounts": _add,
    "sockets/drop": lambda box, body: box.sockets.drop_sockets(
        body.maybe_text("account"), url=body.maybe_text("url")
    ),
    "sockets/close": lambda box, body: box.sockets.close_sockets(
        body.maybe_text("account"),
        url=body.maybe_text("url"),
        namespace=body.flag("namespace", True),
        packet=body.flag("packet", True),
    ),
    "sockets/disconnect": lambda box, body: box.sockets.disconnect_sockets(
        body.maybe_text("account")
    ),
    "sockets/error": lambda box, body: box.sockets.send_error_packet(
        body.data.get("data", "Error"), body.maybe_text("account")
    ),
    "sockets/inject": lambda box, body: box.sockets.inject(
        body.text("text"), body.maybe_text("account")
    ),
    "sockets/freeze": lambda box, body: box.sockets.freeze(
        rest=body.flag("rest", False), url=body.maybe_text("url")
    ),
    "sockets/unfreeze": lambda box, body: box.sockets.unfreeze(
        url=body.maybe_text("url")
    ),
    "sockets/refuse": lambda box, body: box.sockets.refuse_sockets(
        body.status(),
        retry_after=body.maybe_number("retry_after"),
        location=body.maybe_text("location"),
    ),
    "sockets/greet": _greet,
    "requests/refuse": _refuse_requests,
    "requests/mute": _mute_requests,
    "requests/accept": lambda box, body: box.upstream.accept_requests(),
    "tokens/grant": _grant,
    "tokens/restore": _restore,
    "tokens/revoke": _revoke,
    "rest": lambda box, body: box.rest.fail(
        body.status(),
        path=body.maybe_text("path") or "/",
        count=body.maybe_count("count"),
        seconds=body.maybe_number("seconds"),
        retry_after=body.maybe_number("retry_after"),
        body=body.maybe_text("body"),
    ),
    "limit": lambda box, body: box.upstream.limit_subscriptions(
        body.maybe_text("type", LIMIT_TYPES),  # type: ignore[arg-type]
        retry_after=body.number("retry_after", 10),
        count=body.maybe_count("count"),
        accounts=body.maybe_texts("accounts"),
    ),
    "settings": _set,
}


def routes(box: Box) -> list[web.RouteDef]:
    """Return the page and the control API."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE.read_text("utf-8"), content_type="text/html")

    async def state(request: web.Request) -> web.Response:
        return web.json_response(snapshot(box))

    async def account(request: web.Request) -> web.Response:
        account_id = request.match_info["id"]
        action = ACCOUNT_ACTIONS.get(request.match_info["action"])
        if action is None or account_id not in box.cloud.accounts:
            return web.json_response({"error": "no such account or action"}, status=404)
        return await _answer(request, lambda body: action(box, account_id, body))

    def act(action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            return await _answer(request, lambda body: action(box, body))

        return handler

    return [
        web.get("/", page),
        web.get("/simulator/state", state),
        web.post("/simulator/accounts/{id}/{action}", account),
        *(
            web.post(f"/simulator/{path}", act(action))
            for path, action in ACTIONS.items()
        ),
    ]


async def _answer(request: web.Request, act: Callable[[Body], Any]) -> web.Response:
    """Perform an action with the body of a request, and return the response."""
    # Another site's page in the same browser must not control the simulator.
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.host}":
        return web.json_response({"error": "not from another site"}, status=403)
    try:
        body = Body(await request.json() if await request.read() else {})
        result = act(body)
    except (ValueError, RecursionError) as err:
        return web.json_response({"error": str(err)}, status=400)
    if isinstance(result, int):
        result = {"sockets": result}
    return web.json_response({"ok": True} | (result or {}))
