"""Test corner cases of the state machine that random events rarely reach."""

from itertools import pairwise
from math import inf
from typing import Any
from unittest.mock import patch

from api.errors import (
    ForbiddenError,
    InternalError,
    MetaApiError,
    NotFoundError,
    TooManyRequestsError,
)
from api.model import Status
from api.terminal.terminal import Action, Terminal
import pytest

from .bench import ANY, AWAY, ONE, TIMING, TWO, Bench, View, asked

# -- before any event ------------------------------------------------------------------------------


def test_nothing_is_known_at_first(bench: Bench) -> None:
    """Before any event nothing is known, shown or requested."""
    assert bench.machine.deployed is None
    assert bench.machine.reconnecting is False
    assert bench.machine.up is False
    assert bench.machine.up_places == []
    assert bench.machine.pending == []


def test_a_terminal_without_zones_waits(bench: Bench) -> None:
    """A terminal without zones becomes unavailable after 90 s, and subscribes when a zone is added later."""
    machine: Terminal[str] = Terminal((), 0.0, timing=TIMING)
    assert View.of(machine.state) == View()
    assert machine.deadline == 90
    machine.tick(90)
    assert View.of(machine.state) == View(available=False, status=Status.NO_CONNECTION)
    assert machine.deadline == inf
    machine.set_places(["a"], 100.0)
    assert machine.state.available is False
    machine.socket_up("a", "s1", 100.0)
    assert machine.pending == [(Action.SUBSCRIBE, "a")]


# -- evidence --------------------------------------------------------------------------------------


def test_a_status_that_changes_nothing_costs_nothing(bench: Bench) -> None:
    """A `status` that changes nothing does not run `tick`; one that changes the broker does."""
    bench.come_up()
    bench.status()
    with patch.object(Terminal, "tick") as tick:
        bench.status()
        bench.status(authenticated=None)
        bench.status(connected=None)
        assert tick.call_count == 0
        bench.status(connected=False)
        assert tick.call_count == 1


def test_a_status_that_denies_is_evidence_though_nothing_else_changed(
    bench: Bench,
) -> None:
    """A `status` with `authenticated: false` turns the terminal off even if the broker is unchanged."""
    bench.come_up()
    bench.status()
    bench.status(authenticated=False)
    assert bench.terminal is False


def test_a_status_of_an_unknown_host_that_denies_is_evidence(bench: Bench) -> None:
    """With only one zone, `authenticated: false` of an unknown host turns the terminal off."""
    bench.up()
    bench.answer()
    bench.status(TWO, authenticated=False)
    assert bench.view == View(terminal=False, status=Status.DISCONNECTED)
    bench.machine.reconnect_sent(0)
    bench.machine.reconnect_ended(0, authenticated=False)
    bench.status(TWO, authenticated=False)
    assert bench.state.status is Status.RECONNECT_FAILED


def test_the_first_reason_stays(bench: Bench) -> None:
    """A failed round after a silence does not change the reason that is shown."""
    bench.come_up()
    bench.to(69)
    assert bench.state.status is Status.SILENT
    asked(bench, 300)
    assert bench.view == View(terminal=False, status=Status.SILENT, timeouts=6)


def test_off_then_out_of_sight_then_off(bench: Bench) -> None:
    """A terminal that was off becomes unavailable during a gap; the next round turns it off again."""
    bench.come_up()
    bench.disconnected()
    bench.down()
    bench.to(100)
    assert bench.terminal == "unavailable"
    bench.up(session="s2")
    asked(bench, 159)
    assert bench.terminal == "unavailable"
    bench.to(160)
    assert bench.view == View(terminal=False, status=Status.DISCONNECTED, timeouts=4)


def test_a_probe_can_be_sent_again(bench: Bench) -> None:
    """A terminal that refuted a silence is probed again later, after the longer limit."""
    bench.come_up()
    bench.to(61)
    bench.status()
    bench.to(150)
    assert bench.probes() == [60]
    bench.to(151)
    assert bench.probes() == [60, 151]
    bench.to(160)
    assert bench.state.status is Status.SILENT


def test_a_zone_that_lost_its_host_begins_a_new_round(pair: Bench) -> None:
    """A zone that loses its host starts a new round, and the other zone's round turns the terminal off."""
    pair.renew("s2", "b")
    pair.away = {"b"}
    pair.answer(zone="b")
    pair.live(50)
    pair.to(59)
    pair.disconnected(zone="a")
    assert pair.terminal is True
    asked(pair, 59.9)
    assert pair.terminal is True
    pair.to(60)
    assert pair.terminal is False


def test_the_zone_where_it_was_up_must_be_there_to_agree(pair: Bench) -> None:
    """While a zone that had the terminal is down, the other cannot turn it off; after 120 s it is unavailable."""
    pair.down("a")
    pair.down("b")
    pair.up("a", "s2")
    asked(pair, 119)
    assert pair.terminal is True
    pair.to(120)
    assert pair.terminal == "unavailable"


@pytest.mark.parametrize(("moment", "terminal"), [(59.75, True), (60, False)])
def test_what_a_lost_socket_showed_is_forgotten_after_sixty_seconds(
    pair: Bench, *, moment: float, terminal: bool
) -> None:
    """Hosts of a lost socket are forgotten after exactly 60 s if another zone shows the account."""
    pair.down("b")
    pair.to(30)
    pair.status(zone="a")
    pair.to(moment)
    pair.disconnected(zone="a")
    assert pair.terminal is terminal


# -- reconnect -------------------------------------------------------------------------------------


def test_a_refused_reconnect_of_a_terminal_that_is_up_subscribes_nothing(
    bench: Bench,
) -> None:
    """A refused reconnect does not subscribe an account that is already subscribed."""
    bench.come_up()
    bench.machine.reconnect_sent(1)
    bench.machine.reconnect_ended(2, authenticated=False)
    bench.to(50)
    assert bench.subscribes() == [0]


def test_a_status_triggers_a_subscribe_again_after_a_reconnect(bench: Bench) -> None:
    """A `status` can trigger one subscribe before a reconnect and one after it."""
    bench.up()
    bench.answer()
    bench.to(1)
    bench.status()
    assert bench.subscribes() == [0, 1]
    bench.answer()
    bench.machine.reconnect_sent(2)
    bench.machine.reconnect_ended(2, authenticated=False)
    bench.to(2)
    assert bench.subscribes() == [0, 1, 2]
    bench.answer()
    bench.to(3)
    bench.status()
    assert bench.subscribes() == [0, 1, 2, 3]


def test_a_reconnect_as_the_first_request_of_a_socket_subscribes_afterwards(
    bench: Bench,
) -> None:
    """After a reconnect on a new socket a subscribe follows; without it no `status` would arrive."""
    bench.machine.reconnect_sent(0)
    bench.up()
    assert bench.subscribes() == []
    bench.authenticated(ANY, None)
    bench.machine.reconnect_ended(1, authenticated=True)
    bench.to(1)
    assert bench.subscribes() == [1]


# -- facts -----------------------------------------------------------------------------------------


def test_facts_that_change_nothing_subscribe_nothing(bench: Bench) -> None:
    """Repeated REST reads with the same facts do not trigger a subscribe."""
    bench.come_up()
    for now in (10, 20, 30):
        bench.to(now)
        bench.machine.facts(now, deployed=True)
        assert bench.machine.deployed is True
        assert bench.terminal is True
    bench.to(31)
    assert bench.subscribes() == [0]


def test_deployed_again_keeps_the_reason_that_was(bench: Bench) -> None:
    """A redeployed account shows the reason that it had before it was undeployed."""
    bench.come_up()
    bench.to(69)
    bench.facts(deployed=False)
    assert bench.state.status is Status.NOT_DEPLOYED
    bench.facts(deployed=False)
    bench.facts(deployed=True)
    assert bench.state.status is Status.SILENT


@pytest.mark.parametrize("ever_on", [True, False])
def test_deployed_again_has_a_reason_of_its_own(bench: Bench, ever_on: bool) -> None:
    """When it is no longer known that the account is undeployed, the reason depends on whether it was ever on."""
    if ever_on:
        bench.come_up()
    bench.facts(deployed=False)
    bench.facts(exists=False)
    bench.facts(deployed=False)
    assert bench.view == View(terminal=False, status=Status.NOT_DEPLOYED)
    bench.facts(deployed=None)
    assert bench.state.status is (
        Status.DISCONNECTED if ever_on else Status.NEVER_AUTHENTICATED
    )


def test_authenticated_knows_better_than_rest() -> None:
    """An `authenticated` overrides REST's "not deployed", and the other open zones are asked again."""
    bench = Bench("a", "b", "c")
    for zone in ("a", "b", "c"):
        bench.up(zone)
        bench.answer(zone=zone)
    bench.facts(deployed=False)
    bench.down("c")
    bench.to(10)
    bench.authenticated(zone="a")
    assert bench.terminal is True
    assert bench.machine.deployed is None
    bench.to(10)
    assert [bench.subscribes(zone) for zone in "abc"] == [[0], [0, 10], [0]]


def test_authenticated_of_an_account_that_was_gone_keeps_what_rest_said(
    pair: Bench,
) -> None:
    """An `authenticated` overrides a 404 but keeps "deployed"; a zone that is up needs no subscribe."""
    pair.facts(deployed=True)
    pair.facts(exists=False)
    assert pair.terminal == "unavailable"
    pair.to(10)
    pair.authenticated(zone="a")
    assert pair.terminal is True
    assert pair.machine.deployed is True
    pair.to(20)
    assert pair.subscribes("b") == [0]


def test_news_of_rest_lift_the_floor_of_a_refusal(bench: Bench) -> None:
    """News from REST lifts a floor once an hour; the skipped time is added to the next floor only."""
    bench.up()
    bench.answer(NotFoundError("who"))
    for now in (100, 110):
        bench.to(now)
        bench.facts(deployed=False)
        bench.facts(deployed=True)
        if now == 100:
            assert bench.subscribes() == [0, 100]
            bench.answer(NotFoundError("who"))
    bench.to(599)
    assert bench.subscribes() == [0, 100]
    bench.to(600)
    assert bench.subscribes() == [0, 100, 600]
    bench.answer(NotFoundError("who"))
    bench.facts(deployed=True)
    bench.to(900)
    assert bench.subscribes() == [0, 100, 600, 900]


def test_what_was_left_of_a_floor_is_forgotten_with_the_refusal(bench: Bench) -> None:
    """An accepted subscribe drops the skipped time, so a later refusal has the plain floor."""
    bench.up()
    bench.answer(NotFoundError("who"))
    bench.to(100)
    bench.facts(exists=False)
    bench.facts(deployed=True)
    bench.answer()
    bench.to(103)
    bench.answer(NotFoundError("who"))
    bench.facts(deployed=True)
    bench.to(402.9)
    assert bench.subscribes() == [0, 100, 103]
    bench.to(403)
    assert bench.subscribes() == [0, 100, 103, 403]


def test_a_floor_that_is_over_needs_no_lifting(bench: Bench) -> None:
    """News after a floor has ended does not use up the one lift per hour."""
    bench.up()
    for now in (300, 350):
        bench.answer(NotFoundError("who"))
        bench.to(now)
        bench.facts(deployed=False)
        bench.facts(deployed=True)
        assert bench.subscribes()[-1] == now


@pytest.mark.parametrize(
    ("error", "deployed"),
    [
        (NotFoundError("who"), None),
        (
            TooManyRequestsError(
                "full", metadata={"type": "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER"}
            ),
            True,
        ),
        (TooManyRequestsError("slow down"), True),
    ],
)
def test_what_lifts_no_floor(
    bench: Bench, error: MetaApiError, deployed: bool | None
) -> None:
    """News does not lift the floor of a limit, and facts without news lift no floor."""
    bench.up()
    bench.answer(error, retry_after=300)
    bench.to(10)
    bench.facts(deployed=False)
    bench.facts(deployed=deployed)
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(300)
    assert bench.subscribes() == [0, 300]


def test_rest_that_changes_its_mind_asks_no_more_often(bench: Bench) -> None:
    """A flapping REST state causes at most twelve subscribes in any hour."""
    bench.up()
    for now in range(0, 3 * 3600, 10):
        bench.to(now)
        if bench.machine._places["a"].subscription.in_flight:
            bench.answer(NotFoundError("who"))
        bench.facts(deployed=False)
        bench.facts(deployed=True)
        if bench.machine._places["a"].subscription.in_flight:
            bench.answer(NotFoundError("who"))
    asked_at = bench.subscribes()
    assert asked_at[:4] == [0, 1, 610, 910]
    lifted = [now for before, now in pairwise(asked_at) if now - before < 300]
    assert lifted == [1, 3600, 7200]
    for first in asked_at:
        assert sum(first <= when < first + 3600 for when in asked_at) <= 12


# -- zones -----------------------------------------------------------------------------------------


def test_zones_come_and_go() -> None:
    """When zones change, the state of those that stay is kept."""
    bench = Bench("a", "b")
    bench.come_up("a")
    bench.machine.set_places(["a", "c"], 5.0)
    assert bench.terminal is True
    assert bench.machine.up_places == ["a"]
    bench.to(5)
    bench.machine.set_places(["c"], 5.0)
    assert bench.terminal is True
    assert bench.machine.up_places == []
    bench.to(64.9)
    assert bench.terminal is True
    bench.to(65)
    assert bench.view == View(available=False, status=Status.NO_CONNECTION)


def test_every_zone_has_its_deadlines() -> None:
    """A zone that is down does not hide the deadlines of another zone."""
    bench = Bench("a", "b")
    bench.up("b")
    bench.answer(zone="b")
    assert bench.machine.deadline == 3
    bench.to(3)
    assert bench.subscribes("b") == [0, 3]


def test_the_spread_delays_the_first_subscribe(bench: Bench) -> None:
    """The first subscribe is delayed by a random part of the spread; without a spread it is immediate."""
    drawn = []

    def jitter(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    machine = Terminal(["a"], 0.0, timing=TIMING, jitter=jitter)
    machine.socket_up("a", "s1", 10.0, 4.0)
    assert drawn == [(0.0, 4.0)]
    assert machine.deadline == 14.0
    machine.socket_up("a", "s2", 20.0)
    assert drawn == [(0.0, 4.0)]
    assert machine.pending == [(Action.SUBSCRIBE, "a")]


# -- rare sequences, exact times -------------------------------------------------------------------


def test_a_reconnect_that_worked_elsewhere_goes_on_until_we_see_it(
    bench: Bench,
) -> None:
    """A reconnect that succeeded on another socket shows as reconnecting until our own socket sees the terminal."""
    bench.come_up()
    bench.machine.reconnect_sent(1.0)
    assert bench.machine.reconnecting is True
    bench.machine.reconnect_accepted(1.0)
    bench.machine.reconnect_ended(2.0, authenticated=True, elsewhere=True)
    assert bench.machine.reconnecting is False
    assert bench.view == View(terminal=False, status=Status.RECONNECTING)
    assert bench.machine.pending == [(Action.SUBSCRIBE, "a")]


def test_a_deployed_account_is_asked_for_at_once(bench: Bench) -> None:
    """An account that was on, undeployed and deployed again is subscribed at once."""
    bench.come_up()
    bench.to(10)
    bench.facts(deployed=False)
    bench.to(20)
    assert bench.subscribes() == [0]
    bench.facts(deployed=True)
    assert bench.subscribes() == [0, 20]


def test_a_forgotten_refusal_hides_nothing() -> None:
    """A zone whose refusal was dropped counts again, so losing the other zone does not make it unavailable."""
    bench = Bench("a", "b")
    bench.up("a")
    bench.up("b")
    bench.answer(TooManyRequestsError("full"), "a")
    bench.machine.forget_refusal("a")
    bench.answer(AWAY, "b")
    bench.down("b")
    bench.to(70)
    assert bench.state.available is True


def test_a_zone_that_is_away_for_a_moment_is_waited_for() -> None:
    """A round waits up to a minute for a zone that lost its socket, as the account may be there."""
    bench = Bench("a", "b")
    bench.up("a")
    bench.up("b")
    bench.answer(AWAY, "b")
    bench.away = {"a"}
    bench.answer(AWAY, "a")
    bench.to(20)
    bench.down("b")
    bench.to(79.9)
    assert bench.terminal is None
    assert bench.machine.deadline == 80
    bench.to(80)
    assert bench.terminal is False


def test_a_terminal_that_is_believed_counts_timeouts(bench: Bench) -> None:
    """Timeouts on a new socket are counted while the terminal is still believed to be on."""
    bench.come_up()
    bench.renew()
    bench.answer(AWAY)
    assert bench.view == View(terminal=True, status=Status.CONNECTED, timeouts=1)


def test_when_the_clock_is_looked_at_again(bench: Bench) -> None:
    """The deadline is always the next moment at which something can change."""
    bench.up()
    assert bench.machine.deadline == 30  # REST is asked about a mute zone
    bench.to(30)
    assert bench.questions() == [30]
    assert bench.machine.deadline == 45  # REST has not answered
    bench.to(45)
    assert bench.machine.deadline == 60  # the round
    bench.machine.hold(50.0, 45.0)
    bench.authenticated(session="of another socket")
    assert bench.machine.deadline == 50  # another subscribe, which only the hold delays
    bench.answer(AWAY)
    assert bench.machine.deadline == 50
    bench.machine.reconnect_sent(46.0)
    assert bench.machine.deadline == 60  # nothing subscribes now
    bench.machine.reconnect_ended(47.0, authenticated=False)
    assert bench.machine.deadline == 50


def test_when_an_on_that_nothing_shows_is_given_up(bench: Bench) -> None:
    """An unconfirmed terminal becomes unavailable after two minutes, and the deadline says so."""
    bench.come_up()
    bench.down()
    bench.to(1)
    bench.up(session="s2")
    bench.answer(InternalError("fault"))
    bench.to(119)
    assert bench.machine.deadline == 120
    assert bench.terminal is True
    bench.to(120)
    assert bench.terminal == "unavailable"


def test_a_status_says_whether_it_told_anything_new(bench: Bench) -> None:
    """`status()` returns whether the event changed the broker, so that only repetitions are skipped."""
    bench.come_up()
    new = [
        bench.machine.status("a", ONE, connected=connected, authenticated=True, now=now)
        for now, connected in enumerate((True, True, None, False, False, True))
    ]
    assert new == [True, False, False, True, False, True]


# -- diagnostics -----------------------------------------------------------------------------------

NOTHING: dict[str, Any] = {
    "socket": False,
    "hosts": [],
    "subscribe_in_flight": False,
    "next_subscribe_in": None,
    "subscribe_pause": 0.0,
    "timeouts": 0,
    "refusal": None,
    "refused_for": 0.0,
    "probing": False,
}


def test_diagnostics_of_subscribes(bench: Bench) -> None:
    """Diagnostics show whether a subscribe is in flight, planned or neither, with seconds from now."""
    assert bench.machine.diagnostics(0.0) == {"a": NOTHING}
    bench.up()
    told = NOTHING | {
        "socket": True,
        "subscribe_in_flight": True,
        "subscribe_pause": 3.0,
    }
    assert bench.machine.diagnostics(0.0) == {"a": told}
    bench.answer(AWAY)
    told |= {"subscribe_in_flight": False, "subscribe_pause": 6.0, "timeouts": 1}
    coming = told | {"next_subscribe_in": 1.9}
    assert bench.machine.diagnostics(1.06) == {"a": coming}
    bench.machine.token_refused(1.06)
    assert bench.machine.diagnostics(1.06) == {"a": told}
    bench.down()
    lost = NOTHING | {"subscribe_pause": 6.0, "timeouts": 1}
    assert bench.machine.diagnostics(1.06) == {"a": lost}


def test_diagnostics_of_hosts_and_refusals() -> None:
    """Diagnostics show which socket showed each host, how long ago, and for how long a refusal lasts."""
    bench = Bench("a", "b")
    bench.come_up("a")
    bench.now = 10.0
    bench.authenticated((1, "ps-2"))
    bench.status((1, "ps-2"), connected=False)
    bench.up("b")
    bench.answer(ForbiddenError("no"), "b")
    one = {"instance": None, "host": "ps-1", "session": "ours", "broker": None}
    two = {"instance": 1, "host": "ps-2", "session": "ours", "broker": False}
    up = NOTHING | {"socket": True, "subscribe_pause": 3.0}
    refused = up | {"refusal": Status.FORBIDDEN, "next_subscribe_in": 289.9}
    assert bench.machine.diagnostics(20.06) == {
        "a": up | {"hosts": [one | {"last_sign": 20.1}, two | {"last_sign": 10.1}]},
        "b": refused | {"refused_for": 289.9},
    }
    bench.pongs = False
    bench.to(61)
    refused["next_subscribe_in"] = 249.0
    hosts = [one | {"last_sign": 61.0}, two | {"last_sign": 51.0}]
    assert bench.machine.diagnostics(61.0) == {
        "a": up | {"hosts": hosts, "probing": True},
        "b": refused | {"refused_for": 249.0},
    }
    bench.status(ONE, connected=None)
    bench.status((1, "ps-2"), connected=None)
    bench.pong()
    assert bench.machine.diagnostics(61.0)["a"]["probing"] is False
    bench.down("a")
    refused["next_subscribe_in"] = -90.0
    earlier = {"last_sign": 339.0, "session": "earlier"}
    hosts = [one | earlier, two | earlier]
    assert bench.machine.diagnostics(400.0) == {
        "a": NOTHING | {"hosts": hosts, "subscribe_pause": 3.0},
        "b": refused,
    }


def test_a_silence_refuted_amid_a_reconnect_is_measured_anew(bench: Bench) -> None:
    """A `status` during a reconnect ends the suspicion and sets the usual deadline for the next silence."""
    bench.come_up()
    bench.machine.reconnect_sent(1)
    bench.to(61)
    bench.status()
    assert bench.machine.deadline == 61 + TIMING.silence
