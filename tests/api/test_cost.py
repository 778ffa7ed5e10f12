"""Test the structure that keeps the client fast; `scripts/bench` measures the times."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from api.account import Place, WatchedAccount
from api.endpoints import Endpoints, Zone
from api.support import TURN
from api.terminal.terminal import Terminal
from api.timing import Timing
from api.transport import channel, socketio2
import orjson
import pytest

from .support import Witness, watched

FRAMES = 50


def status(account_id: str, *, broker: bool = True) -> dict[str, Any]:
    """Return the periodic status of the simulator's first terminal."""
    return {
        "type": "status",
        "accountId": account_id,
        "instanceIndex": 0,
        "host": "ps-mpa-1",
        "connected": broker,
        "authenticated": True,
    }


@contextmanager
def deeds() -> Iterator[list[str]]:
    """Record the new tasks and timers, except those of the simulator."""
    loop = asyncio.get_running_loop()
    done: list[str] = []

    def make_task(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
        if "simulator" not in coro.cr_code.co_filename:
            done.append(f"task {coro.__qualname__}")
        return asyncio.Task(coro, loop=loop, **kwargs)

    def call_at(when: float, callback: Any, *args: Any, **kwargs: Any) -> Any:
        task: Any = asyncio.current_task()
        # Outside of a task: the shared timer of all accounts, which has its own test
        if task is not None and "simulator" not in task.get_coro().cr_code.co_filename:
            done.append(f"timer {callback.__qualname__}")
        return set_timer(when, callback, *args, **kwargs)

    set_timer = loop.call_at
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "call_at", call_at)
        loop.set_task_factory(make_task)
        try:
            yield done
        finally:
            loop.set_task_factory(None)


def events(w: Witness) -> int:
    """Return how many events the first socket has received."""
    total: int = w.monitor.diagnostics()["sockets"][0]["events"]
    return total


async def all_on(w: Witness) -> None:
    """Wait until every account and its broker are on."""
    await w.until(lambda: all(w.monitor.state(each).broker for each in w.sim.accounts))


async def test_unchanged_status_starts_nothing() -> None:
    """It starts no task and no timer, and calls no listener."""
    async with watched(timing={"silence": 60.0}, ping_interval=60.0) as w:
        await all_on(w)
        (socket,) = w.sim.sockets
        seen, before = list(w.seen[w.id]), events(w)
        with deeds() as done:
            for _ in range(FRAMES):
                socket.emit("synchronization", status(w.id))
            # Only yield to the loop, since a longer sleep would start a timer
            for _ in range(10 * FRAMES):
                await asyncio.sleep(0)
        assert events(w) >= before + FRAMES
        assert done == []
        assert w.seen[w.id] == seen


@contextmanager
def decoded() -> Iterator[list[str]]:
    """Record what is decoded of the received frames."""
    texts: list[str] = []

    def loads(text: str) -> Any:
        texts.append(text)
        return orjson.loads(text)

    counting = SimpleNamespace(
        loads=loads, dumps=orjson.dumps, JSONDecodeError=orjson.JSONDecodeError
    )
    with pytest.MonkeyPatch.context() as patch:
        for module in (channel, socketio2):
            patch.setattr(module, "orjson", counting)
        yield texts


async def take(w: Witness, event: dict[str, Any], times: int = 1) -> None:
    """Wait until an event was read this many times."""
    before = events(w)
    for _ in range(times):
        w.sim.sockets[0].emit("synchronization", event)
    await w.until(lambda: events(w) >= before + times)


QUIET = {"silence": 60.0, "unknown": 60.0, "round": 60.0}
"""No clock of a terminal ends."""


def without_statuses(**options: Any) -> AbstractAsyncContextManager[Witness]:
    """Watch accounts whose server sends no `status` by itself."""
    return watched(timing=QUIET, ping_interval=60.0, status_interval=60.0, **options)


async def test_same_status_is_not_decoded() -> None:
    """A frame that is identical to an earlier one has the same effect without decoding."""
    async with without_statuses() as w:
        await w.terminal(True)
        await take(w, status(w.id))
        await w.until(lambda: w.state.broker)
        await take(w, status(w.id))
        with decoded() as texts:
            await take(w, status(w.id), FRAMES)
            assert texts == []
            await take(w, status(w.id, broker=False))
            assert texts != []
        assert w.state.broker is False


async def test_same_status_is_decoded_after_a_change() -> None:
    """After any other change of the account the same frame is decoded again."""
    async with without_statuses() as w:
        await w.terminal(True)
        for broker in (True, False, True, False):
            await take(w, status(w.id, broker=broker), 3)
            assert w.state.broker is broker


async def test_same_status_of_a_removed_account_is_ignored() -> None:
    """No frame is kept for an account that is not watched any more."""
    async with without_statuses(accounts=2) as w:
        await w.until(lambda: len(w.sim.sockets) == 1 and w.state.terminal is True)
        await take(w, status(w.id), 2)
        await w.monitor.remove_account(w.id)
        before = w.monitor.ignored_events
        await take(w, status(w.id))
        assert w.monitor.ignored_events == before + 1


async def test_few_frames_are_remembered() -> None:
    """The number and the size of the kept frames are limited."""
    async with without_statuses() as w:
        await w.terminal(True)
        (connection,) = w.monitor._pool
        repeats = connection._channel._socket._repeats
        await take(w, status(w.id) | {"healthStatus": {"note": "x" * 2000}}, 3)
        assert not any("xxx" in text for text in repeats)
        for number in range(3 * socketio2._REPEATS_MAX):
            w.sim.sockets[0].emit(
                "synchronization", {**status(w.id), "healthStatus": {"note": number}}
            )
            if number % 100 == 0:
                await asyncio.sleep(0)
            assert len(repeats) <= socketio2._REPEATS_MAX
        await take(w, status(w.id))


async def test_change_calls_its_own_listener() -> None:
    """An event of one account does not cause a loop over all accounts."""
    async with watched(accounts=3) as w:
        await all_on(w)
        expected = {each: len(states) for each, states in w.seen.items()}
        w.sim.set_broker(w.id, False)
        await w.until(lambda: w.state.broker is False)
        expected[w.id] += 1
        assert {each: len(states) for each, states in w.seen.items()} == expected


async def test_one_timer_serves_all_accounts() -> None:
    """A hundred accounts share one timer, whatever their events are."""
    async with watched(accounts=100) as w:
        await all_on(w)
        before = events(w)
        await w.until(lambda: events(w) >= before + 200)
        timers = [
            timer
            for timer in asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
            if not timer.cancelled() and timer._callback == w.monitor._alarm._go
        ]
        # There is none while it is being called
        assert len(timers) <= 1


async def test_unchanged_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Zones are only looked up if a listing changes the region, the replicas or the servers."""
    async with watched() as w:
        await w.terminal(True)
        asked: list[str] = []
        zones = Endpoints.zones

        def look_up(self: Endpoints, region: str) -> tuple[Zone, ...]:
            asked.append(region)
            return zones(self, region)

        monkeypatch.setattr(Endpoints, "zones", look_up)
        w.monitor.place_account(w.id, "")
        assert asked == []
        w.monitor.endpoints = replace(w.monitor.endpoints, api_url=w.sim.url + "/")
        w.monitor.place_account(w.id, "")
        assert asked == [""]


async def lose_sight(w: Witness) -> None:
    """Keep all sockets from coming back."""
    await w.sim.stop_listening()


async def lose_token(w: Witness) -> None:
    """Refuse the token."""
    w.sim.revoke()
    w.sim.drop_sockets()


@pytest.mark.parametrize(("lose", "blind"), [(lose_sight, 0.4), (lose_token, 60.0)])
async def test_accounts_that_change_together_leave_room_for_others(
    lose: Callable[[Witness], Awaitable[None]], blind: float
) -> None:
    """If 120 accounts go out of sight at once, other tasks run every few milliseconds."""
    turns: list[int] = []
    this_turn: list[bool] = []

    def changed() -> None:
        """Count the changes in a turn of the event loop; each takes a millisecond."""
        if not this_turn:
            this_turn.append(True)
            turns.append(0)
            asyncio.get_running_loop().call_soon(this_turn.clear)
        turns[-1] += 1
        ends = perf_counter() + 0.001
        while perf_counter() < ends:
            pass

    async with watched(accounts=120, timing={"blind": blind}) as w:
        await all_on(w)
        for each in w.sim.accounts:
            w.monitor.listen(each, changed)
        await lose(w)
        await w.until(
            lambda: not any(w.monitor.state(each).available for each in w.sim.accounts)
        )
    assert sum(turns) >= 120
    assert max(turns) <= TURN / 0.001


async def test_a_socket_comes_and_goes_without_a_look_at_its_accounts() -> None:
    """The effects on each of a hundred accounts are handled in later turns of the loop."""
    looks: list[str] = []
    now: list[str] = []

    def noting(name: str, inner: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:
            now.append(name)
            inner(*args)
            now.clear()

        return call

    def look(self: Terminal[Any], at: float) -> None:
        looks.extend(now)
        look_at_clock(self, at)

    look_at_clock = Terminal._look_at_clock
    async with watched(accounts=20, timing={"jitter_per_account": 0.001}) as w:
        await all_on(w)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Terminal, "_look_at_clock", look)
            for name in ("connection_up", "connection_down"):
                patch.setattr(w.monitor, name, noting(name, getattr(w.monitor, name)))
            w.sim.drop_sockets()
            await w.until(lambda: len(w.sim.handshakes) == 2)
            await all_on(w)
            await w.until(lambda: w.monitor.sockets == (1, 1))
        assert looks == []


async def test_subscribes_after_a_connect_are_spread() -> None:
    """They are not sent in a few batches, whose answers would all arrive at once."""
    sent: list[float] = []

    def note(place: Place, now: float) -> None:
        sent.append(now)
        subscribe_sent(place, now)

    subscribe_sent = Place.subscribe_sent
    real = Timing()
    spread = {
        name: getattr(real, name)
        for name in ("sweep", "jitter_per_account", "jitter_max")
    }
    async with watched(accounts=100, timing={**spread, "blind": 60.0}) as w:
        await all_on(w)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Place, "subscribe_sent", note)
            w.sim.drop_sockets()
            await w.until(lambda: len(sent) >= 100, 10.0)
    assert len({round(at, 2) for at in sent}) > 30


async def test_only_due_accounts_are_checked() -> None:
    """A timer of one account does not cause a loop over all accounts."""
    async with watched(accounts=20, timing=QUIET) as w:
        await all_on(w)
        accounts = w.monitor._accounts.values()
        now = asyncio.get_running_loop().time
        await w.until(lambda: min(each.due for each in accounts) > now() + 10.0)
        ticked: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            tick = WatchedAccount.tick

            def note(self: WatchedAccount, now: float) -> None:
                ticked.append(self.account_id)
                tick(self, now)

            patch.setattr(WatchedAccount, "tick", note)
            # it subscribes a while later
            w.sim.set_terminal(w.id, False)
            await w.until(lambda: ticked)
        assert set(ticked) == {w.id}
