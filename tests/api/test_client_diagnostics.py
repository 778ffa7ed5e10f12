"""Test the client's diagnostics."""

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
import json
from typing import Any
from unittest.mock import ANY

from api.endpoints import Endpoints
from api.errors import ForbiddenError, TerminalTimeoutError
from api.model import Replica, ServerSettings, Status
from api.support import EVENTS_KEPT, Journal
import pytest

from .support import Witness, watched
from .terminal.bench import ONE, Bench, View


def events(w: Witness, *, what: str | None = None) -> list[dict[str, Any]]:
    """Return the events without their times."""
    return [
        {name: value for name, value in event.items() if name != "when"}
        for event in w.monitor.diagnostics()["events"]
        if what is None or event["what"] == what
    ]


# -- a whole client --------------------------------------------------------------------------------


async def test_connected() -> None:
    """The diagnostics of one account on one socket are complete."""
    async with watched(timing={"round": 60.0}) as w:
        await w.until(lambda: w.state.broker)
        told = w.monitor.diagnostics()
        assert json.loads(json.dumps(told)) == told
        (socket,) = told.pop("sockets")
        (account,) = told.pop("accounts")
        assert told == {
            "connected": True,
            "token_refused": False,
            "reconnect_form": None,
            "ignored_events": 0,
            "subscribes_held_for": 0.0,
            "events": ANY,
        }
        counters = {name: socket.pop(name) for name in ("frames", "sent", "events")}
        assert counters["frames"] >= counters["events"] >= 3
        assert counters["sent"] >= 1
        assert socket == {
            "server": "api_url",
            "accounts": 1,
            "zone": "global",
            "region": "",
            "state": "open",
            "open_for": pytest.approx(0, abs=5),
            "attempts_since_reset": 1,
            "connects": 1,
            "losses": 0,
            "last_loss": None,
            "last_error": None,
            "malformed": 0,
            "unexpected": 0,
        }
        assert View.of(w.state) == View(
            terminal=True, broker=True, status=Status.CONNECTED
        )
        assert account == {
            **asdict(w.state),
            "account_id": w.id,
            "region": "",
            "deployed": None,
            "replicas": [],
            "reconnecting": False,
            "zones": [
                {
                    "zone": "global",
                    "account_id": w.id,
                    "socket": True,
                    "hosts": [
                        {
                            "instance": 0,
                            "host": w.sim.account.hosts[0].name,
                            "session": "ours",
                            "broker": True,
                            "last_sign": pytest.approx(0, abs=5),
                        }
                    ],
                    "subscribe_in_flight": False,
                    "next_subscribe_in": None,
                    "subscribe_pause": ANY,
                    "timeouts": 0,
                    "refusal": None,
                    "refused_for": 0.0,
                    "probing": False,
                }
            ],
        }


async def test_neither_token_nor_address() -> None:
    """They contain neither, even if a server uses the token as a host or in its last message."""
    token = "s3cret-and-short"
    async with watched(token=token, add=False) as w:
        w.sim.grant(token)
        w.add(w.id)
        await w.terminal(True)
        w.sim.inject_event(
            w.id, {"type": "authenticated", "accountId": w.id, "host": token}
        )
        await w.until(
            lambda: (
                len(w.monitor.diagnostics()["accounts"][0]["zones"][0]["hosts"]) == 2
            )
        )
        w.sim.sockets[0].error(token)
        await w.until(lambda: w.monitor.diagnostics()["sockets"][0]["losses"])
        told = json.dumps(w.monitor.diagnostics())
        assert told.count("**REDACTED**") >= 3
        assert token not in told
        assert "127.0.0.1" not in told
        assert w.sim.url.rpartition(":")[2] not in told


async def test_a_socket_that_is_refused() -> None:
    """They contain the counters from before, the pause and the error."""
    async with watched(timing={"backoff_first": 50.0, "backoff_max": 50.0}) as w:
        await w.terminal(True)
        w.sim.inject("nonsense")
        w.sim.inject('42["response",{}]')
        w.sim.inject_event(w.id, {"type": "disconnected", "accountId": w.id})
        await w.until(lambda: False in w.terminals())
        before = w.monitor.diagnostics()["sockets"][0]
        w.sim.refuse_sockets(502)
        w.sim.drop_sockets()
        # An attempt of the user ends the pause
        await w.until(lambda: w.monitor.diagnostics()["sockets"][0]["losses"])
        for connection in w.monitor._pool:
            connection.wake()
        await w.until(lambda: w.monitor.diagnostics()["sockets"][0]["last_error"])
        (socket,) = w.monitor.diagnostics()["sockets"]
        assert socket["state"] == "backing off"
        assert 0 <= socket["next_attempt_in"] <= socket["pause"] <= 50
        assert "open_for" not in socket
        assert (socket["connects"], socket["losses"]) == (1, 1)
        assert socket["attempts_since_reset"] == 1
        assert socket["last_loss"] == "the connection broke"
        assert socket["last_error"] == (
            "HandshakeRefusedError: The server refused the socket with HTTP status 502"
        )
        assert (socket["malformed"], socket["unexpected"]) == (1, 1)
        assert socket["frames"] >= before["frames"] > 0
        w.sim.refuse_sockets(None)
        for connection in w.monitor._pool:
            connection.wake()
        await w.until(
            lambda: w.monitor.diagnostics()["sockets"][0]["events"] > socket["events"]
        )
        (later,) = w.monitor.diagnostics()["sockets"]
        assert later["state"] == "open"
        assert later["connects"] == 2
        assert (later["malformed"], later["unexpected"]) == (1, 1)
        assert later["frames"] > socket["frames"]
        assert later["events"] > socket["events"]
        assert later["sent"] > socket["sent"]
        assert later["last_error"] == socket["last_error"]


async def test_a_socket_that_connects_or_is_closed() -> None:
    """They show a connecting socket, and a closed one after a refused token."""
    async with watched() as w:
        assert w.monitor.diagnostics()["sockets"][0]["state"] == "connecting"
        await w.terminal(True)
        w.sim.revoke(drop=True)
        await w.until(lambda: w.monitor.token_refused)
        await w.until(
            lambda: w.monitor.diagnostics()["sockets"][0]["state"] == "closed"
        )
        told = w.monitor.diagnostics()
        assert told["token_refused"] is True
        assert told["accounts"][0]["status"] == "token_refused"
        assert {"what": "token refused"} in events(w)


async def test_replicas() -> None:
    """A zone has the id of the account there."""
    async with watched(accounts=2, add=False) as w:
        primary, replica = w.sim.accounts
        twin = Replica(account_id=replica, region="new-york", state="DEPLOYED")
        w.add(primary, "london", replicas=[twin])
        (account,) = w.monitor.diagnostics()["accounts"]
        assert account["region"] == "london"
        assert account["replicas"] == [
            {"account_id": replica, "region": "new-york", "state": "DEPLOYED"}
        ]
        assert [zone["account_id"] for zone in account["zones"]] == [primary, replica]
        assert {zone["zone"] for zone in account["zones"]} == {"global"}


@pytest.mark.parametrize(
    ("endpoints", "region", "kind"),
    [
        (Endpoints(), "", "global"),
        (Endpoints(), "london", "regional"),
        (Endpoints(settings=ServerSettings(hostname="mine")), "london", "dedicated"),
        (Endpoints(settings=ServerSettings(hostname="mine")), "", "global"),
        (Endpoints(api_url="http://localhost"), "london", "api_url"),
    ],
)
def test_kind_of_a_server(endpoints: Endpoints, region: str, kind: str) -> None:
    """They contain the kind of a custom server, without its address."""
    assert {endpoints.kind(zone) for zone in endpoints.zones(region)} == {kind}


# -- events ----------------------------------------------------------------------------------------


async def test_events() -> None:
    """They are in order, with the account, the zone, and details if there are any."""
    async with watched(timing={"subscribe_first": 0.5}) as w:
        here = {"account_id": w.id, "zone": "global"}
        host = w.sim.account.hosts[0].name
        await w.until(lambda: w.state.broker)
        w.sim.set_terminal(w.id, up=False)
        await w.terminal(False)
        answered = {"what": "subscribe answered", **here}
        assert events(w).count(answered) == 1
        assert [event for event in events(w) if event != answered] == [
            {"what": "added", "account_id": w.id},
            {"what": "socket open", "zone": "global"},
            {"what": "subscribe", **here},
            {"what": "authenticated", **here, "detail": host},
            {"what": "status", "account_id": w.id, "detail": "connected"},
            {"what": "disconnected", **here, "detail": host},
            {"what": "status", "account_id": w.id, "detail": "disconnected"},
        ]
        await w.until(lambda: len(events(w, what="subscribe answered")) == 2)
        assert events(w, what="subscribe answered")[-1] == {
            **answered,
            "detail": "TerminalTimeoutError",
        }
        assert (await w.reconnect(5)).outcome == "authenticated"
        assert {
            "what": "reconnect",
            "account_id": w.id,
            "detail": "authenticated",
        } in events(w)
        assert w.monitor.diagnostics()["reconnect_form"] == "socket"
        w.sim.drop_sockets()
        lost = await w.until(lambda: events(w, what="socket lost"))
        assert lost == [
            {"what": "socket lost", "zone": "global", "detail": "the connection broke"}
        ]
        await w.monitor.remove_account(w.id)
        assert events(w, what="removed") == [{"what": "removed", "account_id": w.id}]


async def test_a_reconnect_of_an_account_that_is_not_deployed() -> None:
    """The event has the same outcome as the caller's."""
    async with watched(add=False) as w:
        w.add(w.id, deployed=False)
        await w.reconnect(5)
        assert events(w)[-1]["detail"] == "not_deployed"


async def test_stale_authenticated() -> None:
    """It is marked, since it belongs to another session."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.inject_event(
            w.id, {"type": "authenticated", "accountId": w.id, "sessionId": "other"}
        )
        await w.until(lambda: events(w, what="authenticated, stale"))


async def test_silence_asks_the_socket() -> None:
    """There are events of the probe and of its result."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.set_terminal(w.id, up=False, announce=False)
        await w.until(
            lambda: "silent" in [one.get("detail") for one in events(w, what="status")]
        )
        assert events(w, what="probe")


async def test_limits() -> None:
    """There are events of a quota that delays subscribes, and of a full server that moves the account."""
    async with watched(add=False) as w:
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER", retry_after=30
        )
        w.add(w.id)
        await w.until(lambda: events(w, what="subscribes held"))
        assert 0 < w.monitor.diagnostics()["subscribes_held_for"] <= 35
        (zone,) = w.monitor.diagnostics()["accounts"][0]["zones"]
        assert zone["refusal"] == "quota_exhausted"
        assert 0 < zone["refused_for"] <= zone["next_subscribe_in"] <= 35
    async with watched(add=False) as w:
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER", retry_after=30
        )
        w.add(w.id)
        await w.until(lambda: events(w, what="moved to another socket"))


async def test_statuses_leave_no_trace() -> None:
    """There are no events of statuses, which would replace the rare ones."""
    async with watched() as w:
        await w.until(lambda: w.state.broker)
        before = events(w)
        (socket,) = w.monitor.diagnostics()["sockets"]
        await w.until(
            lambda: (
                w.monitor.diagnostics()["sockets"][0]["events"] > socket["events"] + 5
            )
        )
        assert events(w) == before


def test_the_last_events_are_kept() -> None:
    """The last fifty are kept, with their times."""
    journal = Journal()
    for number in range(EVENTS_KEPT + 10):
        journal.note(f"event {number}")
    told = journal.diagnostics()
    assert EVENTS_KEPT == len(told) == 50
    assert [event["what"] for event in told] == [f"event {n}" for n in range(10, 60)]
    when = datetime.fromisoformat(told[0]["when"])
    assert abs((datetime.now(UTC) - when).total_seconds()) < 60
    assert Counter(map(len, told)) == {2: 50}


# -- one account -----------------------------------------------------------------------------------


def test_state_of_an_account() -> None:
    """They contain the next subscribe and its pause, the hosts in sight, and the refusals."""
    bench = Bench("a", "b")
    link = bench.machine

    def zone(name: str = "a", **parts: Any) -> None:
        told = link.diagnostics(bench.now)[name]
        assert {part: told[part] for part in parts} == parts

    zone(socket=False, next_subscribe_in=None, subscribe_in_flight=False, hosts=[])
    bench.up("a")
    zone(socket=True, subscribe_in_flight=True, next_subscribe_in=None)
    bench.answer(TerminalTimeoutError("away"))
    bench.to(1)
    zone(subscribe_in_flight=False, next_subscribe_in=2.0, subscribe_pause=6.0)
    zone(timeouts=1)
    bench.authenticated(ONE)
    bench.to(3)
    seen = {"instance": ONE[0], "host": ONE[1], "broker": None, "last_sign": 2.0}
    zone(next_subscribe_in=None, hosts=[{**seen, "session": "ours"}], probing=False)
    bench.pongs = False
    bench.to(61)
    zone(probing=True)
    bench.down("a")
    seen["last_sign"] = 60.0
    zone(socket=False, hosts=[{**seen, "session": "earlier"}], next_subscribe_in=None)
    bench.up("b")
    bench.answer(ForbiddenError("no"), "b")
    bench.to(71)
    zone("b", refusal=Status.FORBIDDEN, refused_for=290.0, next_subscribe_in=290.0)
    bench.up("a", "s2")
    bench.answer()
    link.reconnect_sent(bench.now)
    zone(next_subscribe_in=None)
    link.reconnect_ended(bench.now, authenticated=False)
    link.hold(100.0, bench.now)
    zone(next_subscribe_in=29.0)
    link.facts(bench.now, deployed=False)
    zone(next_subscribe_in=None)
    bench.to(400)
    zone("b", refused_for=0.0)
