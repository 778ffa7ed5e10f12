"""Test the structure that keeps the client fast; `scripts/bench` measures the times."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from api.endpoints import Endpoints, Zone
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


@pytest.mark.parametrize("lose", [lose_sight, lose_token])
async def test_accounts_that_change_together_leave_room_for_others(
    lose: Callable[[Witness], Awaitable[None]],
) -> None:
    """If 120 accounts go out of sight at once, other tasks run after each 50 of them."""
    turns: list[int] = []
    this_turn: list[bool] = []

    def changed() -> None:
        """Count the changes in a turn of the event loop."""
        if not this_turn:
            this_turn.append(True)
            turns.append(0)
            asyncio.get_running_loop().call_soon(this_turn.clear)
        turns[-1] += 1

    async with watched(accounts=120) as w:
        await all_on(w)
        for each in w.sim.accounts:
            w.monitor.listen(each, changed)
        await lose(w)
        await w.until(
            lambda: not any(w.monitor.state(each).available for each in w.sim.accounts)
        )
    assert max(turns) == 50
