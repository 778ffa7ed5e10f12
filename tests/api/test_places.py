"""The places of an account: zones, regions and replicas, and the way from one to another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from api.endpoints import Endpoints, Zone
from api.model import Replica
from api.monitor import Monitor

from simulator import Simulator

from .support import FAST, SIMULATOR, Witness, watched


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
    """The moved account is back in its new region; its neighbor saw nothing."""
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
        assert len(w.sim.handshakes) == 4


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
        await w.until(lambda: len(w.monitor._accounts[primary].terminal.up_places) == 2)
        w.sim.set_terminal(replica, up=False)
        await w.until(lambda: len(w.monitor._accounts[primary].terminal.up_places) == 1)
        assert w.state.terminal is True
        w.sim.set_terminal(primary, up=False)
        await w.terminal(False)


async def test_a_replica_that_comes_and_goes_moves_nobody_else() -> None:
    """The account stays where it is meanwhile, on the same sockets; the replica's are closed again."""
    async with in_regions("london", "new-york", accounts=2) as w:
        primary, replica = w.sim.accounts
        w.sim.move(replica, "new-york")
        twin = Replica(account_id=replica, region="new-york", state="DEPLOYED")
        w.add(primary, "london")
        await w.terminal(True)
        await w.until(lambda: len(w.sim.sockets) == 2)
        before = set(w.sim.sockets)
        w.monitor.place_account(primary, "london", [twin])
        await w.until(lambda: w.sim.subscribed(replica))
        await w.until(lambda: len(w.sim.sockets) == 4)
        assert before < set(w.sim.sockets)
        w.monitor.place_account(primary, "london")
        await w.until(lambda: set(w.sim.sockets) == before)
        assert w.sim.requests_of("unsubscribe", replica)
        assert not w.sim.requests_of("unsubscribe", primary)
        assert w.terminals() == [None, True]


async def test_a_replica_that_is_not_deployed_is_not_subscribed() -> None:
    """There is no terminal behind it."""
    async with watched(accounts=2, add=False) as w:
        primary, replica = w.sim.accounts
        twin = Replica(account_id=replica, region="london", state="UNDEPLOYED")
        w.add(primary, "london", replicas=[twin])
        await w.until(lambda: w.monitor.state(primary).terminal)
        assert not w.sim.requests_of("subscribe", replica)


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
        await w.until(lambda: w.monitor._accounts[w.id].terminal.up)


async def test_a_move_ends_a_subscribe_that_nobody_answers() -> None:
    """The next one goes to the new place, and no other is lost."""
    async with in_regions("london", "new-york") as w:
        w.sim.accounts[w.id].subscribing.mode = "ignore"
        w.add(w.id, "new-york")
        await w.until(lambda: w.sim.requests_of("subscribe"))
        w.sim.set_subscribe_mode(w.id, "normal")
        w.monitor.place_account(w.id, "london")
        await w.terminal(True)
        regions = [r.socket.listener.region for r in w.sim.requests_of("subscribe")]
        assert set(regions) == {"london", "new-york"}
        assert not [zone for zone in w.in_flight() if "new-york" in zone]


async def test_a_ping_of_a_place_that_was_left_proves_nothing() -> None:
    """Its answer comes on a socket that others still use."""
    async with in_regions("london", "new-york", accounts=2) as w:
        one, two = w.sim.accounts
        w.sim.timing.ping_timeout = 30.0
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
            lambda: (
                not any("probe" in task.get_name() for task in w.monitor._shared.tasks)
            )
        )
        assert False not in w.terminals(one)
