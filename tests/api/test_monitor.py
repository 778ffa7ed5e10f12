"""Test the monitor over real sockets: what a user sees of each fault."""

import asyncio
from dataclasses import replace
from functools import partial
import itertools
import json
from typing import Any

from api.endpoints import Endpoints
from api.model import Replica, Status
from api.transport.channel import Channel
import pytest

from .loopback import eventually
from .scripted import ACCOUNT, REGION, Script, scripted
from .support import FAST, watched
from .terminal.bench import View
from .virtual_loop import current_loop


async def test_terminal_that_is_up_turns_on() -> None:
    """It is on after subscribe, authenticated and status."""
    async with watched() as w:
        await w.until(lambda: w.state.broker)
        assert w.terminals() == [None, True]
        assert View.of(w.state) == View(
            terminal=True, broker=True, status=Status.CONNECTED
        )


async def test_terminal_down_at_start_is_off() -> None:
    """It is off after the first round."""
    async with watched(accounts=2, add=False) as w:
        w.sim.set_terminal(w.id, up=False)
        w.add(w.id)
        await w.terminal(False)
        assert w.terminals() == [None, False]
        assert w.state.status is Status.NEVER_AUTHENTICATED


async def test_listeners_hear_of_timeouts_in_a_row() -> None:
    """After five timeouts listeners are called, since the account may run elsewhere."""
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
    """The terminal goes off, and on when it is back."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.set_terminal(w.id, up=False)
        await w.terminal(False, timeout=2)
        assert w.state.status is Status.DISCONNECTED
        w.sim.set_terminal(w.id, up=True)
        await w.terminal(True)


async def test_silence_shows() -> None:
    """A terminal without events goes off, and on when it is back."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.set_terminal(w.id, up=False, announce=False)
        await w.until(lambda: Status.SILENT in [s.status for s in w.seen[w.id]])
        assert False in w.terminals()
        w.sim.set_terminal(w.id, up=True)
        await w.terminal(True)


async def test_rare_statuses_are_no_silence() -> None:
    """A terminal with rare statuses answers a subscribe, and stays on."""
    async with watched() as w:
        await w.terminal(True)
        w.sim.set_silent(w.id)
        await w.until(lambda: len(w.sim.requests_of("subscribe")) == 4)
        assert w.terminals() == [None, True]


async def test_broker_is_a_fact_of_its_own() -> None:
    """The terminal stays on without its broker."""
    async with watched() as w:
        await w.until(lambda: w.state.broker is True)
        w.sim.set_broker(w.id, up=False)
        await w.until(lambda: w.state.broker is False)
        assert w.state.status is Status.BROKER_DISCONNECTED
        assert w.terminals() == [None, True]


async def test_network_that_goes_silent_and_comes_back_never_shows_off() -> None:
    """A frozen network is shown as on, unavailable, on."""
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
    """A socket that is back soon, with a new client and session id, changes nothing."""
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
    """An outage during our own loss is shown after it."""
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
    """The link sensor goes off after the same time as accounts."""
    async with watched() as w:
        await w.terminal(True)
        assert w.hub == [True]
        await w.sim.stop_listening()
        await w.until(lambda: w.monitor.connected is False)
        await w.sim.resume_listening()
        await w.until(lambda: w.monitor.connected)
        assert w.hub == [True, False, True]


async def test_back_off_is_jittered_and_bounded() -> None:
    """Attempts to reach a dead server have increasing pauses up to the maximum."""
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
    """There is no attempt before the floor is over."""
    async with watched(refuse_status=status, timing={"refused_floor": 0.5}) as w:
        await w.until(lambda: len(w.sim.handshakes) == 3)
        times = [h.time for h in w.sim.handshakes]
        assert all(b - a >= 0.5 for a, b in itertools.pairwise(times))


async def test_reconnect_does_not_end_a_floor() -> None:
    """There is no attempt before the floor is over."""
    async with watched(refuse_status=403, timing={"refused_floor": 30.0}) as w:
        await w.until(
            lambda: w.monitor.diagnostics()["sockets"][0]["state"] == "backing off"
        )
        result = await w.reconnect(0.2)
        assert result.outcome == "no_connection"
        assert len(w.sim.handshakes) == 1


@pytest.mark.parametrize("form", ["object", "string"])
async def test_the_seed_pages_answers_turn_it_on(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two example responses of the page turn the terminal on."""
    request_id = "9eb3a9fc-4cb4-4c1a-b7fb-1140a8ed29c9"
    account_id = "865d3a4d-3803-486d-bdf3-a85679d9fad2"
    first = f'{{"type": "response", "requestId": "{request_id}", "accountId": "{account_id}"}}'
    second = f'{{"type": "authenticated", "accountId": "{account_id}"}}'
    if form == "string":
        first, second = json.dumps(first), json.dumps(second)
    async with watched(add=False) as w:
        w.add(w.id)
        await w.terminal(True)
        w.sim.add_account(replace(w.sim.account, id=account_id))
        w.sim.set_reconnect_mode(account_id, "ignore")
        w.sim.set_subscribe_mode(account_id, "ignore")
        w.add(account_id)
        await w.until(lambda: list(w.sim.requests_of("subscribe", account_id)))
        await w.until(
            lambda: (
                w.monitor.state(account_id).status
                in (Status.NO_ANSWER, Status.NO_CONNECTION)
            ),
            timeout=3,
        )
        monkeypatch.setattr("api.transport.channel.new_request_id", lambda: request_id)
        reconnect = asyncio.create_task(w.reconnect(5, account_id))
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
    """Malformed frames, unknown types and accounts, and unexpected answers are counted."""
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


async def test_remove_gives_the_subscription_back() -> None:
    """The account is unsubscribed, and the socket closes with its last account."""
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
    """A busy monitor leaves no task, no timer and no socket."""
    async with watched(accounts=3) as w:
        await w.until(lambda: all(w.monitor.state(i).terminal for i in w.sim.accounts))
        await w.monitor.close()
        assert len(w.sim.requests_of("unsubscribe")) == 3
        await w.until(lambda: not w.sim.sockets)
        assert not [
            task for task in asyncio.all_tasks() if "metaapi" in task.get_name()
        ]


async def test_nothing_is_opened_after_the_end() -> None:
    """Calls after the close have no effect."""
    async with watched() as w:
        await w.terminal(True)
        await w.monitor.close()
        await w.until(lambda: not w.sim.sockets)
        handshakes = len(w.sim.handshakes)
        w.monitor.endpoints = Endpoints(api_url=w.sim.url + "/")
        calls: list[None] = []
        w.monitor.listen(w.id, lambda: calls.append(None))
        w.monitor.set_facts(w.id, deployed=False)
        w.monitor.place_account(w.id, "")
        w.monitor.add_account("late")
        assert calls == []
        assert w.monitor.sockets == (0, 0)
        assert View.of(w.monitor.state("late")) == View()
        assert not [
            task for task in asyncio.all_tasks() if "metaapi" in task.get_name()
        ]
        assert len(w.sim.handshakes) == handshakes


async def test_close_is_bounded_when_nobody_answers() -> None:
    """A frozen server does not delay the close."""
    async with watched(timing={"close": 0.2}, ping_interval=60.0) as w:
        await w.terminal(True)
        w.sim.freeze()
        started = asyncio.get_running_loop().time()
        await w.monitor.close()
        assert asyncio.get_running_loop().time() - started < 1


async def test_a_hundred_host_names_do_not_grow_without_bound() -> None:
    """A server that invents host names takes a limited amount of memory."""
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

        def hosts() -> list[str]:
            (zone,) = w.monitor.diagnostics()["accounts"][0]["zones"]
            return [host["host"] for host in zone["hosts"]]

        await w.until(lambda: "made-up-99" in hosts())
        assert len(hosts()) <= 16


async def test_a_listener_that_fails_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error of a listener is logged, and the socket stays open."""
    async with watched() as w:

        def fail() -> None:
            raise RuntimeError("a fault")

        w.monitor.listen_link(fail)
        w.monitor.listen(w.id, fail)
        await w.terminal(True)
        w.sim.drop_sockets()
        await w.until(partial(w.subscribed_since, 1))
        assert "Error in a listener" in caplog.text


async def test_the_loop_survives_whatever_happens_in_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error is logged without its text, and the socket comes back."""
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


async def test_no_clock_runs_when_nobody_is_watched() -> None:
    """Without accounts the monitor has no timer."""
    async with watched() as w:
        await w.terminal(True)
        await w.monitor.remove_account(w.id)
        await w.until(lambda: not w.monitor._alarm.armed)


async def test_close_that_is_cut_short_still_ends_every_socket() -> None:
    """A canceled close still closes every socket."""
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


async def test_facts_about_an_account_nobody_watches_are_ignored() -> None:
    """The account may have been removed meanwhile."""
    async with watched() as w:
        w.monitor.set_facts("nobody", deployed=False)
        w.monitor.place_account("nobody", "london")
        assert len(w.monitor.diagnostics()["accounts"]) == 1


async def test_a_host_with_an_endless_name_is_none() -> None:
    """It is not stored."""
    async with watched() as w:
        await w.terminal(True)
        before = w.monitor.ignored_events
        w.sim.inject_event(
            w.id, {"type": "authenticated", "accountId": w.id, "host": "x" * 257}
        )
        await w.until(lambda: w.monitor.ignored_events == before + 1)
        (zone,) = w.monitor.diagnostics()["accounts"][0]["zones"]
        assert len(zone["hosts"]) == 1


# -- invalid input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("instance", [True, 1.0])
async def test_an_instance_that_is_no_number_is_none(instance: Any) -> None:
    """It is invalid even if it equals the zone's instance."""
    async with scripted() as script:
        script.add()
        await asyncio.sleep(1)
        script.emit("b", "authenticated", host="x", instanceIndex=instance)
        await eventually(lambda: script.monitor.ignored_events == 1)
        assert script.monitor.state(ACCOUNT).terminal is None


async def test_an_account_is_watched_once() -> None:
    """Adding it again changes its places, but not its sockets and listeners."""
    async with scripted() as script:
        script.add()
        script.at(1.0, script.show, "a", "authenticated")
        await asyncio.sleep(2)
        script.monitor.add_account(ACCOUNT, REGION, deployed=True)
        await asyncio.sleep(30)
        assert script.monitor.sockets == (2, 2)
        assert len(script.monitor.diagnostics()["accounts"]) == 1
        assert len([one for one in script.requests if one.zone == "a"]) == 1
        script.show("a", "disconnected")
        await eventually(lambda: script.shown[-1][1] is False)


async def test_made_up_replicas_open_no_socket_each() -> None:
    """Of 300 replicas in as many regions, only some deployed ones are used."""
    async with scripted() as script:
        replicas = [
            Replica(
                account_id=f"replica-{number}",
                region=f"region-{number}",
                state="DEPLOYED" if number >= 100 else "UNDEPLOYED",
            )
            for number in range(300)
        ]
        script.monitor.add_account(ACCOUNT, REGION, replicas=replicas)
        (account,) = script.monitor.diagnostics()["accounts"]
        assert len(account["replicas"]) == 16
        assert account["replicas"][0]["account_id"] == "replica-100"
        assert len(account["zones"]) <= 2 + 2 * 16
        assert script.monitor.sockets[1] <= 2 + 2 * 16


# -- stalls of our own loop ------------------------------------------------------------------------


def flood(script: Script, zone: str, frames: int = 3000) -> None:
    """Send more than one read takes."""
    for _ in range(frames):
        script.emit(zone, "prices", host="x" * 40)


async def test_a_stall_does_not_judge_a_round_before_its_answer_was_read() -> None:
    """The answer is behind many frames in the socket's buffer after a stall of two minutes."""
    async with scripted(zones="a") as script:

        def stall() -> None:
            flood(script, "a")
            script.show("a", "authenticated")
            current_loop().stand_still(120)

        script.add()
        script.at(1, script.show, "a", "authenticated")
        script.at(2, script.cut, "a")
        script.at(60, stall)
        await asyncio.sleep(70)
        await asyncio.sleep(5)
        assert [value for _, value in script.shown] == [None, True]


async def test_a_stall_is_no_silence() -> None:
    """A `status` that arrived meanwhile counts, though it is read late."""
    async with scripted(zones="a") as script:
        script.add()
        script.at(1, script.show, "a", "authenticated")
        for when in range(2, 100, 5):
            script.at(when, script.status)

        def stall() -> None:
            flood(script, "a")
            script.status()
            current_loop().stand_still(120)

        script.at(60, stall)
        await asyncio.sleep(70)
        await asyncio.sleep(5)
        assert [value for _, value in script.shown] == [None, True]
        assert script.now > 180


async def test_one_ping_at_a_time() -> None:
    """All accounts of a socket share one ping."""
    async with scripted(zones="a") as script:
        script.add()
        others = [f"account-{number}" for number in range(50)]
        for other in others:
            script.monitor.add_account(other, REGION)
        await asyncio.sleep(10)
        script.show("a", "authenticated")
        for other in others:
            script.show("a", "authenticated", accountId=other)
        pings = script.pings["a"]
        await asyncio.sleep(63)
        assert 1 <= script.pings["a"] - pings <= 2 + 63 // 25
