"""Test a user's subscription quota over a real socket: waiting accounts show it, connected ones stay connected."""

from api.model import Status
from api.terminal.rules import Limit, limit_of

from tests.api.support import watched

from .bench import View

HELD = View(available=False, status=Status.QUOTA_EXHAUSTED)


async def test_an_account_that_waits_for_the_quota_says_so() -> None:
    """An account that waits for the quota shows this as its reason, like the refused one, until it subscribes."""
    async with watched(accounts=3, add=False) as w:
        first, refused, waiting = w.sim.accounts
        w.add(first)
        await w.until(lambda: w.monitor.state(first).broker)
        w.sim.limit_subscriptions(
            "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER", count=1, retry_after=0.1
        )
        w.add(refused)
        await w.until(lambda: View.of(w.monitor.state(refused)) == HELD)
        w.add(waiting)
        assert View.of(w.monitor.state(waiting)) == HELD
        assert limit_of(w.monitor.limit(waiting)) is Limit.HOLD
        await w.until(lambda: w.monitor.state(waiting).terminal)
        assert w.terminals(waiting) == ["unavailable", True]
        first_request = w.sim.requests_of("subscribe", refused)[0]
        (only_request,) = w.sim.requests_of("subscribe", waiting)
        assert only_request.time - first_request.time >= w.monitor.timing.limit_first
        assert w.terminals(first) == [None, True]


async def test_a_quota_for_fewer_accounts_than_there_are() -> None:
    """Every account beyond the quota shows the limit at once, whether it was refused or not even subscribed."""
    async with watched(
        accounts=6, max_accounts_per_user=2, timing={"jitter_per_account": 0.3}
    ) as w:

        def beyond() -> list[str]:
            """Return the accounts that the quota keeps out."""
            return [
                one for one in w.sim.accounts if View.of(w.monitor.state(one)) == HELD
            ]

        await w.until(lambda: len(beyond()) == 4)
        assert len(w.sim.requests_of("subscribe")) < 6
        limits = [w.monitor.limit(account_id) for account_id in beyond()]
        assert {limit_of(limit) for limit in limits} == {Limit.HOLD}
        connected = {*w.sim.accounts} - {*beyond()}
        await w.until(lambda: all(w.monitor.state(one).terminal for one in connected))
