"""The monitor over real sockets: what a user would see of each fault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
import itertools
import json
from typing import Any

import aiohttp
from api.connection import Channel
from api.endpoints import Endpoints, Zone
from api.link import LinkState, Status
from api.model import Replica
from api.monitor import Monitor
import pytest

from simulator import Simulator
from simulator.tokens import make_jwt

from .support import FAST, SIMULATOR, Witness, watched


async def test_terminal_that_is_up_turns_on() -> None:
    """Subscribe, authenticated, status."""
    async with watched() as w:
        await w.until(lambda: w.state.broker)
        assert w.terminals() == [None, True]
        assert w.state == LinkState(terminal=True, broker=True, status=Status.CONNECTED)


async def test_subscribe_says_who_we_are() -> None:
    """The frame holds what the protocol asks for, and a session id of our own."""
    async with watched(application="HomeAssistant") as w:
        await w.terminal(True)
        (request,) = w.sim.requests_of("subscribe")
        payload = dict(request.payload)
        assert len(payload.pop("requestId")) == 32
        assert payload.pop("sessionId")
        assert payload == {
            "type": "subscribe",
            "accountId": w.id,
            "application": "HomeAssistant",
        }
        query = request.socket.query
        assert query["protocol"] == "3"
        assert request.socket.headers["Client-Id"] == query["clientId"]


async def test_terminal_down_at_start_is_off() -> None:
    """The first round decides."""
    async with watched(accounts=2, add=False) as w:
        w.sim.set_terminal(w.id, up=False)
        w.add(w.id)
        await w.terminal(False)
        assert w.terminals() == [None, False]
        assert w.state.status is Status.NEVER_AUTHENTICATED


async def test_listeners_hear_of_timeouts_in_a_row() -> None:
    """The fifth may mean that the account runs elsewhere by now."""
    async with watched(add=False) as w:
        w.sim.set_terminal(w.id, up=False)
        w.add(w.id)
        await w.until(lambda: w.state.timeouts >= 5)
        heard = [state.timeouts for state in w.seen[w.id]]
        assert list(dict.fromkeys(heard))[:6] == [0, 1, 2, 3, 4, 5]
        w.sim.set_terminal(w.id, up=True)
        await w.terminal(True)
        assert w.state.timeouts == 0


async def test_disconnected_shows_at_once() -> None:
    """The terminal drops, and later comes back by itself."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.set_terminal(w.id, up=False)
        await w.terminal(False, timeout=2)
        assert w.state.status is Status.DISCONNECTED
        w.sim.set_terminal(w.id, up=True)
        await w.terminal(True)


async def test_silence_shows() -> None:
    """A terminal without status on a living socket goes off; a status brings it back."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.set_silent(w.id)
        await w.until(lambda: Status.SILENT in [s.status for s in w.seen[w.id]])
        assert False in w.terminals()


async def test_broker_is_a_fact_of_its_own() -> None:
    """The terminal stays on while its broker is away."""
    async with watched() as w:
        await w.until(lambda: w.state.broker is True)
        w.sim.set_broker(w.id, up=False)
        await w.until(lambda: w.state.broker is False)
        assert w.state.status is Status.BROKER_DISCONNECTED
        assert w.terminals() == [None, True]


async def test_network_that_goes_silent_and_comes_back_never_shows_off() -> None:
    """Frozen: on, unavailable, on."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.freeze()
        w.sim.refuse_sockets(502)
        await w.terminal("unavailable")
        w.sim.unfreeze()
        w.sim.refuse_sockets(None)
        await w.terminal(True)
        assert w.terminals() == [None, True, "unavailable", True]


async def test_short_loss_shows_nothing() -> None:
    """A socket that is back soon changes nothing, with a new client and session id."""
    async with watched() as w:
        await w.terminal(True)
        for _ in range(3):
            before = len(w.sim.requests_of("subscribe"))
            w.sim.drop_sockets()
            await w.until(partial(w.subscribed_since, before))
            await w.until(lambda: w.state.broker)
        assert w.terminals() == [None, True]
        handshakes = [h.query["clientId"] for h in w.sim.handshakes]
        sessions = [r.payload["sessionId"] for r in w.sim.requests_of("subscribe")]
        assert len(set(handshakes)) == len(handshakes) == 4
        assert len(set(sessions)) == len(sessions) == 4


async def test_terminal_that_drops_while_we_are_away_is_off_afterwards() -> None:
    """An outage behind a gap of our own is not missed."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.refuse_sockets(502)
        w.sim.drop_sockets()
        w.sim.set_terminal(w.id, up=False)
        await w.terminal("unavailable")
        w.sim.refuse_sockets(None)
        await w.terminal(False)
        assert w.terminals() == [None, True, "unavailable", False]


async def test_hub_is_off_only_after_a_while_without_socket() -> None:
    """The link sensor follows the sockets, with the same patience."""
    async with watched() as w:
        await w.terminal(True)
        assert w.hub == [True]
        await w.sim.stop_listening()
        await w.until(lambda: w.monitor.connected is False)
        await w.sim.resume_listening()
        await w.until(lambda: w.monitor.connected)
        assert w.hub == [True, False, True]


async def test_back_off_is_jittered_and_bounded() -> None:
    """Attempts against a dead server spread out to the longest pause."""
    async with watched(refuse_status=502) as w:
        await w.until(lambda: len(w.sim.handshakes) >= 12)
        times = [h.time for h in w.sim.handshakes]
        pauses = [b - a for a, b in itertools.pairwise(times)]
        assert max(pauses) < FAST.backoff_max + 0.2
        assert len({round(pause, 4) for pause in pauses}) > 6
        w.sim.refuse_sockets(None)
        await w.terminal(True)


@pytest.mark.parametrize("status", [403, 429])
async def test_refused_handshakes_have_a_floor(status: int) -> None:
    """Nothing is tried again before the floor."""
    async with watched(refuse_status=status, timing={"refused_floor": 0.5}) as w:
        await w.until(lambda: len(w.sim.handshakes) == 3)
        times = [h.time for h in w.sim.handshakes]
        assert all(b - a >= 0.5 for a, b in itertools.pairwise(times))


async def test_a_persons_action_does_not_break_the_floor() -> None:
    """Reconnect while refused: no attempt before its time."""
    async with watched(refuse_status=403, timing={"refused_floor": 30.0}) as w:
        await w.until(
            lambda: w.monitor.diagnostics()["sockets"][0]["state"] == "backing off"
        )
        result = await w.monitor.reconnect(w.id, 0.2)
        assert result.outcome == "no_connection"
        assert len(w.sim.handshakes) == 1


async def test_quota_makes_it_unavailable_and_says_so() -> None:
    """A 429 to the subscribe is not tried again before the floor."""
    async with watched(add=False, timing={"refused_floor": 0.4}) as w:
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER", count=1, retry_after=0.1
        )
        w.add(w.id)
        assert w.monitor.limit(w.id) is None
        assert w.monitor.sockets == (0, 1)
        await w.until(lambda: w.state.status is Status.QUOTA_EXHAUSTED)
        assert not w.state.available
        limit = w.monitor.limit(w.id)
        assert limit is not None
        assert limit.limit == "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER"
        assert w.monitor.sockets == (1, 1)
        await w.terminal(True)
        first, second = (r.time for r in w.sim.requests_of("subscribe"))
        assert second - first >= 0.4


async def test_another_limit_is_told() -> None:
    """What the account shows stays, but why is news: it decides what a person can do."""
    async with watched(add=False, timing={"refused_floor": 0.1}) as w:
        w.sim.limit_subscriptions(
            "LIMIT_OF_ANOTHER_KIND",  # type: ignore[arg-type]
            retry_after=0.1,
        )
        w.add(w.id)
        await w.until(lambda: w.state.status is Status.QUOTA_EXHAUSTED)
        told: list[str | None] = []

        def listener() -> None:
            limit = w.monitor.limit(w.id)
            told.append(limit.limit if limit else None)

        w.monitor.listen(w.id, listener)
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER", retry_after=0.1
        )
        await w.until(lambda: "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER" in told)
        assert w.state.status is Status.QUOTA_EXHAUSTED


async def test_unknown_account_is_not_found() -> None:
    """An id that MetaApi does not know."""
    async with watched(add=False) as w:
        w.add("00000000-0000-4000-8000-00000000dead")
        await w.until(
            lambda: (
                w.monitor.state("00000000-0000-4000-8000-00000000dead").status
                is Status.NOT_FOUND
            )
        )


async def test_not_deployed_is_off_and_not_subscribed() -> None:
    """What REST says is taken before the first subscribe."""
    async with watched(add=False) as w:
        w.sim.undeploy(w.id)
        w.add(w.id, deployed=False)
        await w.until(lambda: w.sim.sockets)
        assert w.state == LinkState(terminal=False, status=Status.NOT_DEPLOYED)
        w.sim.deploy(w.id)
        w.monitor.set_facts(w.id, deployed=True)
        await w.terminal(True)
        assert len(w.sim.requests_of("subscribe")) == 1


@pytest.mark.parametrize(
    "form", ["http401", "close", "error_packet", "processing_error"]
)
async def test_revoked_token_ends_in_one_request_for_a_new_one(form: str) -> None:
    """However the server refuses it, REST confirms and everything stops, once."""
    async with watched(accounts=3, bad_token=form) as w:
        await w.terminal(True)
        w.sim.revoke()
        w.sim.drop_sockets()
        await w.until(lambda: w.monitor.token_refused)
        await w.until(lambda: w.hub[-1] is False)
        assert w.hub.count(False) == 1
        assert w.state == LinkState(available=False, status=None)
        attempts = len(w.sim.handshakes)
        result = await w.monitor.reconnect(w.id, 0.1)
        assert result.outcome == "no_connection"
        assert len(w.sim.handshakes) == attempts


async def test_401_that_rest_does_not_confirm_is_only_a_refusal() -> None:
    """The token is still good: go on, slowly."""
    async with watched(refuse_status=401, timing={"refused_floor": 0.3}) as w:
        await w.until(lambda: len(w.sim.handshakes) == 2)
        assert not w.monitor.token_refused
        w.sim.refuse_sockets(None)
        await w.terminal(True)


@pytest.mark.parametrize("form", ["object", "string"])
async def test_the_seed_pages_answers_turn_it_on(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two example responses, as they stand on the page."""
    request_id = "9eb3a9fc-4cb4-4c1a-b7fb-1140a8ed29c9"
    account_id = "865d3a4d-3803-486d-bdf3-a85679d9fad2"
    first = f'{{"type": "response", "requestId": "{request_id}", "accountId": "{account_id}"}}'
    second = f'{{"type": "authenticated", "accountId": "{account_id}"}}'
    if form == "string":
        first, second = json.dumps(first), json.dumps(second)
    async with watched(add=False) as w:
        w.add(w.id)
        await w.terminal(True)
        w.sim.add_account(
            replace(w.sim.account, id=account_id, reconnect_mode="ignore")
        )
        w.sim.set_subscribe_mode(account_id, "ignore")
        w.add(account_id)
        await w.until(lambda: list(w.sim.requests_of("subscribe", account_id)))
        await w.until(
            lambda: (
                w.monitor.state(account_id).status
                in (Status.UNKNOWN, Status.NO_CONNECTION)
                and not w.monitor._watches[account_id].flights
            ),
            timeout=3,
        )
        monkeypatch.setattr("api.connection.new_request_id", lambda: request_id)
        reconnect = asyncio.create_task(w.monitor.reconnect(account_id, 5))
        await w.until(lambda: w.sim.requests_of("reconnect", account_id))
        assert w.sim.requests_of("reconnect")[0].payload == {
            "type": "reconnect",
            "accountId": account_id,
            "requestId": request_id,
            "application": "MetaApi",
        }
        w.sim.inject(f'42["response",{first}]')
        w.sim.inject(f'42["synchronization",{second}]')
        result = await reconnect
        assert result.outcome == "authenticated"
        assert w.monitor.state(account_id).terminal is True


async def test_junk_is_ignored_and_counted() -> None:
    """Malformed frames, unknown types and accounts, answers nobody waits for."""
    async with watched() as w:
        await w.terminal(True)
        before = w.monitor.ignored_events
        for frame in (
            '42["synchronization",{"type":"authenticated","accountId":"nobody"}]',
            f'42["synchronization",{{"type":"prices","accountId":"{w.id}"}}]',
            f'42["synchronization",{{"accountId":"{w.id}"}}]',
            '42["synchronization",{"type":"status","accountId":7}]',
            '42["synchronization",null]',
            '42["synchronization"]',
            '42["synchronization","no json"]',
            '42["synchronization","[1,2]"]',
            '42["response",{"requestId":"nobody"}]',
            '42["response",{"requestId":["x"]}]',
            '42["processingError",{"error":5,"message":7}]',
            '42["processingError","x"]',
            '42["metadata",{"clientApiHostname":"x"}]',
            "42[",
            "nonsense",
        ):
            w.sim.inject(frame)
        for odd in ({"host": 5}, {"connected": "yes"}, {"instanceIndex": "0"}):
            w.sim.inject_event(w.id, {"type": "status", "accountId": w.id, **odd})
        await w.until(lambda: w.monitor.ignored_events == before + 4)
        w.sim.drop_sockets()
        await w.until(lambda: len(w.sim.requests_of("subscribe")) == 2)
        assert w.terminals() == [None, True]


async def test_unauthorized_from_a_stray_error_is_checked_by_rest() -> None:
    """A processing error that says unauthorized does not by itself end everything."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.inject('42["processingError",{"error":"UnauthorizedError"}]')
        await w.until(lambda: w.sim.rest_calls)
        await w.until(lambda: not w.monitor._token_check.running)
        assert not w.monitor.token_refused


async def test_remove_gives_the_subscription_back() -> None:
    """The quota is the user's; the socket closes with its last account."""
    async with watched(accounts=2) as w:
        await w.until(lambda: all(w.monitor.state(i).terminal for i in w.sim.accounts))
        one, two = w.sim.accounts
        await w.monitor.remove_account(one)
        assert len(w.sim.requests_of("unsubscribe", one)) == 1
        assert len(w.sim.sockets) == 1
        await w.monitor.remove_account(two)
        await w.until(lambda: not w.sim.sockets)
        await w.monitor.remove_account(two)


async def test_close_gives_everything_back_and_leaves_nothing() -> None:
    """No task, no timer, no socket, from a monitor that was busy."""
    async with watched(accounts=3) as w:
        await w.until(lambda: all(w.monitor.state(i).terminal for i in w.sim.accounts))
        await w.monitor.close()
        assert len(w.sim.requests_of("unsubscribe")) == 3
        await w.until(lambda: not w.sim.sockets)
        assert not [
            task for task in asyncio.all_tasks() if "metaapi" in task.get_name()
        ]


async def test_nothing_is_opened_after_the_end() -> None:
    """Who is late with a place or an account finds everything closed, and it stays so."""
    async with watched() as w:
        await w.terminal(True)
        await w.monitor.close()
        await w.until(lambda: not w.sim.sockets)
        handshakes = len(w.sim.handshakes)
        w.monitor.endpoints = Endpoints(api_url=w.sim.url + "/")
        w.monitor.place_account(w.id, "")
        w.monitor.add_account("late")
        assert w.monitor.sockets == (0, 0)
        assert w.monitor.state("late") == LinkState()
        assert not [
            task for task in asyncio.all_tasks() if "metaapi" in task.get_name()
        ]
        assert len(w.sim.handshakes) == handshakes


async def test_close_is_bounded_when_nobody_answers() -> None:
    """A frozen server does not hold us up."""
    async with watched(timing={"close": 0.2}, ping_interval=60.0) as w:
        await w.terminal(True)
        w.sim.freeze()
        started = asyncio.get_running_loop().time()
        await w.monitor.close()
        assert asyncio.get_running_loop().time() - started < 1


async def test_a_hundred_accounts_share_a_socket() -> None:
    """The hundred and first gets another one."""
    async with watched(accounts=101) as w:
        await w.until(
            lambda: all(w.monitor.state(i).terminal for i in w.sim.accounts), 60
        )
        await w.until(lambda: len(w.sim.sockets) == 2)


async def test_two_zones_see_one_account() -> None:
    """Sockets to both zones; the one without the account does not matter."""
    async with (
        Simulator(accounts=1, **SIMULATOR) as sim,
        aiohttp.ClientSession() as session,
    ):
        zones = (
            Zone(await sim.listen("london", 0), "london", 0),
            Zone(await sim.listen("london", 1), "london", 1),
        )
        monitor = Monitor(
            session,
            sim.token,
            endpoints=Endpoints(api_url=sim.url, overrides={"london": zones}),
            timing=FAST,
        )
        w = Witness(sim, monitor)
        try:
            w.add(sim.account.id, "london")
            await w.terminal(True)
            await w.until(lambda: len(sim.sockets) == 2)
            await w.until(
                lambda: (
                    {r.payload["instanceIndex"] for r in sim.requests_of("subscribe")}
                    == {0, 1}
                )
            )
            sim.set_terminal(w.id, up=False)
            await w.terminal(False)
            result = await monitor.reconnect(w.id, 5)
            assert result.outcome == "authenticated"
            assert [
                r.payload["instanceIndex"] for r in sim.requests_of("reconnect")
            ] == [0]
        finally:
            await monitor.close()


async def zoned(sim: Simulator, *regions: str) -> dict[str, tuple[Zone, ...]]:
    """Let the simulator serve two zones of each region."""
    return {
        region: tuple(
            [
                Zone(await sim.listen(region, instance), region, instance)
                for instance in (0, 1)
            ]
        )
        for region in regions
    }


@asynccontextmanager
async def in_regions(*regions: str, accounts: int = 1) -> AsyncIterator[Witness]:
    """Run a simulator with zones, and a monitor that watches nothing yet."""
    async with (
        Simulator(accounts=accounts, **SIMULATOR) as sim,
        aiohttp.ClientSession() as session,
    ):
        monitor = Monitor(
            session,
            sim.token,
            endpoints=Endpoints(api_url=sim.url, overrides=await zoned(sim, *regions)),
            timing=FAST,
        )
        try:
            yield Witness(sim, monitor)
        finally:
            await monitor.close()


async def test_accounts_of_several_regions_have_sockets_of_their_own() -> None:
    """Two zones a region; accounts of one region share them."""
    async with in_regions("london", "new-york", accounts=4) as w:
        ids = list(w.sim.accounts)
        for account_id in ids[2:]:
            w.sim.move(account_id, "new-york")
        for account_id, account in w.sim.accounts.items():
            w.add(account_id, account.region)
        await w.until(lambda: all(w.monitor.state(i).terminal for i in ids))
        await w.until(lambda: len(w.sim.sockets) == 4)
        await w.monitor.remove_account(ids[0])
        await w.monitor.remove_account(ids[1])
        await w.until(lambda: len(w.sim.sockets) == 2)
        assert {s.listener.region for s in w.sim.sockets} == {"new-york"}
        assert all(w.monitor.state(i).terminal for i in ids[2:])
        assert False not in w.terminals(ids[2])


async def test_region_that_changed_upstream_moves_without_touching_others() -> None:
    """The moved account is back in its new region; its neighbour saw nothing."""
    async with in_regions("london", "new-york", accounts=2) as w:
        one, two = w.sim.accounts
        w.add(one, "london")
        w.add(two, "london")
        await w.until(lambda: all(w.monitor.state(i).terminal for i in (one, two)))
        w.sim.move(one, "new-york")
        w.monitor.place_account(one, "new-york")
        await w.until(
            lambda: {s.listener.region for s in w.sim.subscribed(one)} == {"new-york"}
        )
        await w.until(lambda: w.monitor.state(one).terminal)
        assert w.terminals(two) == [None, True]
        assert len({h.time for h in w.sim.handshakes}) == 4


async def test_a_region_learnt_later_moves_from_the_global_url() -> None:
    """A typed id starts at the global URL and moves once its region is known."""
    async with in_regions("london") as w:
        w.add(w.id)
        await w.terminal(True)
        w.monitor.place_account(w.id, "london")
        await w.until(
            lambda: (
                w.sim.subscribed(w.id)
                and {s.listener.region for s in w.sim.subscribed(w.id)} == {"london"}
            )
        )
        await w.terminal(True)
        await w.until(lambda: len(w.sim.sockets) == 2)
        assert False not in w.terminals()


async def test_a_replica_keeps_its_account_up() -> None:
    """The replica in another region is the same account to the user."""
    async with in_regions("london", "new-york", accounts=2) as w:
        primary, replica = w.sim.accounts
        w.sim.accounts[replica].primary_id = primary
        w.sim.move(replica, "new-york")
        w.sim.set_terminal(primary, up=False)
        w.sim.set_terminal(replica, up=False)
        twin = Replica(account_id=replica, region="new-york", state="DEPLOYED")
        w.add(primary, "london", replicas=[twin])
        await w.until(lambda: w.sim.requests_of("subscribe", replica))
        w.sim.set_terminal(replica, up=True)
        await w.terminal(True)
        w.sim.set_terminal(primary, up=True)
        await w.until(lambda: len(w.monitor._watches[primary].link.up_zones) == 2)
        w.sim.set_terminal(replica, up=False)
        await w.until(lambda: len(w.monitor._watches[primary].link.up_zones) == 1)
        assert w.state.terminal is True
        w.sim.set_terminal(primary, up=False)
        await w.terminal(False)


async def test_user_quota_holds_every_subscribe_back() -> None:
    """What one account hears is true for all of them."""
    async with watched(accounts=2, add=False, timing={"refused_floor": 0.6}) as w:
        one, two = w.sim.accounts
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER",
            count=1,
            retry_after=0.1,
            accounts=[one],
        )
        w.add(one)
        await w.until(lambda: w.monitor.state(one).status is Status.QUOTA_EXHAUSTED)
        w.add(two)
        await w.until(lambda: w.monitor.state(two).terminal)
        first, *later = w.sim.requests_of("subscribe")
        assert all(r.time - first.time >= 0.6 for r in later)


@pytest.mark.parametrize(
    "limit",
    [
        "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER",
        "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER",
    ],
)
async def test_server_quota_uses_another_socket(limit: Any) -> None:
    """Another Client-Id may reach another server; its neighbours stay where they are."""
    async with watched(accounts=2, add=False, timing={"refused_floor": 5.0}) as w:
        one, two = w.sim.accounts
        w.add(one)
        await w.until(lambda: w.monitor.state(one).terminal)
        w.sim.limit_subscriptions(limit, count=1, accounts=[two])
        w.add(two)
        await w.until(lambda: w.monitor.state(two).terminal)
        first, second = w.sim.requests_of("subscribe", two)
        assert first.socket is not second.socket
        assert first.socket.client_id != second.socket.client_id
        assert w.terminals(one) == [None, True]


async def test_server_quota_that_stays_is_not_asked_more_than_its_floor() -> None:
    """Another socket is tried once; over time it is no more than one for each floor."""
    async with watched(add=False, timing={"refused_floor": 0.5}) as w:
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER_PER_SERVER", retry_after=0.1
        )
        w.add(w.id)
        await w.until(lambda: len(w.sim.requests_of("subscribe")) >= 5, 10)
        first, second, third, fourth, fifth = w.sim.requests_of("subscribe")[:5]
        assert second.time - first.time < 0.5
        assert first.socket is not second.socket
        assert third.time - first.time >= 1.0
        assert fourth.time - third.time < 0.5
        assert fifth.time - third.time >= 1.0


async def test_a_hundred_host_names_do_not_grow_without_bound() -> None:
    """A server that makes up hosts costs a bounded amount of memory."""
    async with watched() as w:
        await w.terminal(True)
        for number in range(100):
            w.sim.inject_event(
                w.id,
                {
                    "type": "authenticated",
                    "accountId": w.id,
                    "host": f"made-up-{number}",
                },
            )
        link = w.monitor._watches[w.id].link
        await w.until(
            lambda: (
                (None, "made-up-99") in link._zones["global"].hosts
                or (0, "made-up-99") in link._zones["global"].hosts
            )
        )
        assert len(link._zones["global"].hosts) <= 16


async def test_a_listener_that_fails_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fault of one listener is logged, and the socket goes on."""
    async with watched() as w:

        def fail() -> None:
            raise RuntimeError("a fault")

        w.monitor.listen_hub(fail)
        w.monitor.listen(w.id, fail)
        await w.terminal(True)
        w.sim.drop_sockets()
        await w.until(partial(w.subscribed_since, 1))
        assert "Error in a listener" in caplog.text


async def test_the_loop_survives_whatever_happens_in_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody thought of is told without its text, and the socket comes back."""
    async with watched() as w:
        await w.terminal(True)
        connect = Channel.connect

        async def fail(self: Channel, url: str, *, seed_page: bool = False) -> None:
            monkeypatch.setattr(Channel, "connect", connect)
            raise LookupError(w.sim.token)

        monkeypatch.setattr(Channel, "connect", fail)
        w.sim.drop_sockets()
        await w.until(partial(w.subscribed_since, 1))
        assert "Unexpected LookupError" in caplog.text
        assert w.sim.token not in caplog.text


async def test_unauthorized_errors_do_not_make_us_storm_rest() -> None:
    """However often a server says it, a good token is checked once in a while."""
    async with watched(timing={"refused_floor": 30.0}) as w:
        await w.terminal(True)
        for _ in range(20):
            w.sim.inject('42["processingError",{"error":"UnauthorizedError"}]')
            w.sim.set_broker(w.id, not w.sim.account.broker)
            await asyncio.sleep(0.01)
        await w.until(lambda: w.sim.rest_calls)
        await w.until(lambda: not w.monitor._token_check.running)
        assert len(w.sim.rest_calls) == 1


async def test_no_clock_runs_when_nobody_is_watched() -> None:
    """After the last account is gone, the monitor sleeps."""
    async with watched() as w:
        await w.terminal(True)
        await w.monitor.remove_account(w.id)
        await w.until(lambda: w.monitor._timer is None)


async def test_close_that_is_cut_short_still_ends_every_socket() -> None:
    """The sockets end even if the one who closes does not wait."""
    async with watched(accounts=2) as w:
        await w.until(lambda: all(w.monitor.state(i).terminal for i in w.sim.accounts))
        w.sim.freeze()
        closing = asyncio.create_task(w.monitor.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait((closing,))
        await w.until(
            lambda: not [t for t in asyncio.all_tasks() if "metaapi" in t.get_name()]
        )


async def test_a_move_while_a_subscribe_is_due_loses_nothing() -> None:
    """Every place of an account moves at once, and no task dies of it."""
    async with in_regions("london", "new-york") as w:
        w.add(w.id, "london")
        await w.terminal(True)
        for region in ("new-york", "london") * 3:
            w.sim.move(w.id, region)
            w.monitor.place_account(w.id, region)
            await asyncio.sleep(0)
        await w.until(
            lambda: {s.listener.region for s in w.sim.subscribed(w.id)} == {"london"}
        )
        await w.until(lambda: w.monitor._watches[w.id].link.up)


async def test_facts_about_an_account_nobody_watches_are_ignored() -> None:
    """It was removed while they were on their way."""
    async with watched() as w:
        w.monitor.set_facts("nobody", deployed=False)
        w.monitor.place_account("nobody", "london")
        assert len(w.monitor.diagnostics()["accounts"]) == 1


async def test_a_replica_that_is_not_deployed_is_not_subscribed() -> None:
    """There is no terminal behind it."""
    async with watched(accounts=2, add=False) as w:
        primary, replica = w.sim.accounts
        twin = Replica(account_id=replica, region="london", state="UNDEPLOYED")
        w.add(primary, "london", replicas=[twin])
        await w.until(lambda: w.monitor.state(primary).terminal)
        assert not w.sim.requests_of("subscribe", replica)


async def test_a_host_with_an_endless_name_is_none() -> None:
    """What a server makes up is not kept."""
    async with watched() as w:
        await w.terminal(True)
        before = w.monitor.ignored_events
        w.sim.inject_event(
            w.id, {"type": "authenticated", "accountId": w.id, "host": "x" * 257}
        )
        await w.until(lambda: w.monitor.ignored_events == before + 1)
        (zone,) = w.monitor.diagnostics()["accounts"][0]["zones"]
        assert len(zone["hosts"]) == 1


async def test_a_move_ends_a_subscribe_that_nobody_answers() -> None:
    """The next one goes to the new place, and no other is lost."""
    async with in_regions("london", "new-york") as w:
        w.sim.accounts[w.id].subscribe_mode = "ignore"
        w.add(w.id, "new-york")
        await w.until(lambda: w.sim.requests_of("subscribe"))
        w.sim.set_subscribe_mode(w.id, "normal")
        w.monitor.place_account(w.id, "london")
        await w.terminal(True)
        regions = [r.socket.listener.region for r in w.sim.requests_of("subscribe")]
        assert set(regions) == {"london", "new-york"}
        flights = w.monitor._watches[w.id].flights
        assert not [place for place in flights if "new-york" in place]


async def test_a_ping_of_a_place_that_was_left_proves_nothing() -> None:
    """Its answer comes on a socket that others still use."""
    async with in_regions("london", "new-york", accounts=2) as w:
        one, two = w.sim.accounts
        w.sim.ping_timeout = 30.0
        w.add(one, "london")
        w.add(two, "london")
        await w.until(lambda: w.monitor.state(one).broker)
        await w.until(lambda: w.monitor.state(two).broker)
        w.sim.freeze()
        await w.until(
            lambda: any(
                zone["probing"]
                for zone in w.monitor.diagnostics()["accounts"][0]["zones"]
            )
        )
        w.monitor.place_account(one, "new-york")
        w.sim.unfreeze()
        await w.until(
            lambda: not any("probe" in task.get_name() for task in w.monitor.tasks)
        )
        assert False not in w.terminals(one)


@pytest.mark.parametrize("said", [True, False])
async def test_a_token_that_rest_cannot_judge(said: bool) -> None:
    """Without access to REST, what the socket says in words decides, and nothing else does."""
    token = make_jwt(provisioning=False)
    async with watched(token=token, add=False) as w:
        w.sim.grant(token, provisioning=False)
        w.sim.revoke(token)
        w.sim.bad_token = "http401" if said else "close"
        w.add(w.id)
        if said:
            await w.until(lambda: w.monitor.token_refused)
        else:
            await w.until(lambda: w.monitor._token_check.started_at > 0)
            await w.until(lambda: not w.monitor._token_check.running)
            assert not w.monitor.token_refused
        assert not w.sim.rest_calls
