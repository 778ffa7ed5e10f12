"""The state machine of one account: corners that random events seldom reach, one by one."""

from collections.abc import Callable
from itertools import pairwise
from math import inf
from typing import Any
from unittest.mock import patch

from api.errors import (
    ForbiddenError,
    InternalError,
    MetaApiError,
    NotFoundError,
    TerminalTimeoutError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from api.model import Status
from api.terminal.terminal import AccountState, Action, Terminal
import pytest

from .test_link import ANY, ONE, TWO, Bench, bench, pair

__all__ = ["bench", "pair"]

AWAY = TerminalTimeoutError("away")


def asked(bench: Bench, until: float) -> None:
    """Let time pass while every zone says that nobody is there."""
    bench.away = set(bench.link._zones)
    for zone in bench.away:
        if bench.link._zones[zone].in_flight:
            bench.answer(zone=zone)
    bench.to(until)


# -- what nobody said yet --------------------------------------------------------------------------


def test_nothing_is_known_at_first(bench: Bench) -> None:
    """REST has not spoken, nothing was tried, nothing is wanted."""
    assert bench.link.deployed is None
    assert bench.link.reconnecting is False
    assert bench.link.up is False
    assert bench.link.up_zones == []
    assert bench.link.pending == []


def test_a_link_without_zones_waits(bench: Bench) -> None:
    """It is unknown, then out of sight; the zones come later."""
    link = Terminal[str]((), 0.0)
    assert link.state == AccountState()
    assert link.deadline == 90
    link.tick(90)
    assert link.state == AccountState(available=False, status=Status.NO_CONNECTION)
    assert link.deadline == inf
    link.set_zones(["a"], 100.0)
    assert link.state.available is False
    link.socket_up("a", "s1", 100.0)
    assert link.pending == [(Action.SUBSCRIBE, "a")]


# -- hosts and their names -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "then", "other", "same"),
    [
        ((0, None), (None, "ps-1"), (1, "ps-1"), (0, "ps-1")),
        ((0, None), (None, "ps-1"), (0, "ps-2"), (0, "ps-1")),
        ((None, "ps-1"), (0, None), (1, "ps-1"), (0, "ps-1")),
        ((None, "ps-1"), (0, None), (0, "ps-2"), (0, "ps-1")),
        ((0, "ps-1"), (None, "ps-1"), (1, None), (None, "ps-1")),
        ((0, "ps-1"), (0, None), (None, "ps-2"), (0, None)),
        (ANY, (0, None), (1, None), (0, "any")),
        (ANY, (None, "ps-1"), (None, "ps-2"), (9, "ps-1")),
    ],
)
@pytest.mark.parametrize("learnt_by", ["authenticated", "status"])
def test_a_name_is_learnt_part_by_part(
    bench: Bench,
    *,
    first: tuple[int | None, str | None],
    then: tuple[int | None, str | None],
    other: tuple[int | None, str | None],
    same: tuple[int | None, str | None],
    learnt_by: str,
) -> None:
    """What two events told together is the name: another one's end is not its end."""
    bench.up()
    bench.authenticated(first)
    if learnt_by == "status":
        bench.status(then)
    else:
        bench.authenticated(then)
    bench.disconnected(other)
    assert bench.terminal is True
    bench.disconnected(same)
    assert bench.terminal is False


def test_an_exact_name_means_nobody_else(bench: Bench) -> None:
    """A host without an instance and one with it are two, once both are known."""
    bench.up()
    bench.authenticated((0, "ps-1"))
    bench.authenticated((1, "ps-2"))
    bench.disconnected((0, "ps-1"))
    assert bench.link._zones["a"].hosts.keys() == {(1, "ps-2")}


def test_seventeen_hosts_are_sixteen(bench: Bench) -> None:
    """The one that was silent for longest is forgotten, and no other."""
    bench.up()
    for number in range(16):
        bench.now = float(number)
        bench.authenticated((None, f"ps-{number}"))
    hosts = bench.link._zones["a"].hosts
    assert len(hosts) == 16
    bench.now = 16.0
    bench.status((None, "ps-0"))
    bench.now = 17.0
    bench.authenticated((None, "ps-new"))
    assert hosts.keys() == {(None, "ps-new")} | {
        (None, f"ps-{number}") for number in range(16) if number != 1
    }


def test_other_hosts_outlive_an_authenticated_that_does_not_say_it_is_alone(
    bench: Bench,
) -> None:
    """What an earlier socket showed is believed for a while beside it."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.renew()
    bench.authenticated(ONE, "s2")
    bench.disconnected(ONE)
    assert bench.terminal is True


def test_a_stale_host_that_ends_leaves_the_pace_as_it_is(bench: Bench) -> None:
    """It is evidence, but the subscribes of the new socket go on as they were."""
    bench.come_up()
    bench.renew()
    bench.answer()
    bench.to(3)
    bench.answer()
    bench.to(4)
    bench.disconnected(ONE)
    assert bench.terminal is False
    bench.to(8.9)
    assert bench.subscribes()[-1] == 3
    bench.to(9)
    assert bench.subscribes()[-1] == 9


def test_the_last_host_of_this_socket_calls_for_a_subscribe(bench: Bench) -> None:
    """Even while an earlier socket's host is still believed in."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.renew()
    bench.answer()
    bench.authenticated(ONE, "s2")
    bench.disconnected(ONE)
    assert bench.terminal is True
    bench.to(3)
    assert bench.subscribes() == [0, 0, 3]


def test_status_of_a_stale_host_beside_a_living_one_means_nothing(bench: Bench) -> None:
    """No subscribe, no sign of life."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.renew()
    bench.answer()
    bench.authenticated(ONE, "s2")
    bench.status(TWO)
    bench.to(10)
    assert bench.subscribes() == [0, 0]


# -- evidence --------------------------------------------------------------------------------------


def test_a_status_that_changes_nothing_costs_nothing(bench: Bench) -> None:
    """The clock is not even looked at; what changes something is."""
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
    """The broker is where it was."""
    bench.come_up()
    bench.status()
    bench.status(authenticated=False)
    assert bench.terminal is False


def test_a_status_of_an_unknown_host_that_denies_is_evidence(bench: Bench) -> None:
    """Where the account has one zone, nobody else can have it."""
    bench.up()
    bench.answer()
    bench.status(TWO, authenticated=False)
    assert bench.state == AccountState(terminal=False, status=Status.DISCONNECTED)
    bench.link.reconnect_sent(0)
    bench.link.reconnect_ended(0, authenticated=False)
    bench.status(TWO, authenticated=False)
    assert bench.state.status is Status.RECONNECT_FAILED


def test_the_first_reason_stays(bench: Bench) -> None:
    """A round that gets nowhere afterwards is no news."""
    bench.come_up()
    bench.to(60)
    bench.link.probe_answered("a", 60, 60)
    bench._collect()
    assert bench.state.status is Status.SILENT
    asked(bench, 300)
    assert bench.state == AccountState(terminal=False, status=Status.SILENT, timeouts=6)


def test_off_then_out_of_sight_then_off(bench: Bench) -> None:
    """After a gap of ours the round decides anew, also for a terminal that was off."""
    bench.come_up()
    bench.disconnected()
    bench.down()
    bench.to(100)
    assert bench.terminal == "unavailable"
    bench.up(session="s2")
    asked(bench, 159)
    assert bench.terminal == "unavailable"
    bench.to(160)
    assert bench.state == AccountState(
        terminal=False, status=Status.DISCONNECTED, timeouts=4
    )


def test_a_probe_can_be_sent_again(bench: Bench) -> None:
    """A terminal that spoke meanwhile may fall silent later."""
    bench.come_up()
    bench.to(60)
    bench.status()
    bench.link.probe_answered("a", 60, 60)
    bench.to(119)
    assert bench.probes() == [60]
    bench.to(120)
    assert bench.probes() == [60, 120]


def test_a_zone_that_lost_its_host_begins_a_new_round(pair: Bench) -> None:
    """Its old one is long over, and says nothing about now."""
    pair.renew("s2", "b")
    pair.away = {"b"}
    pair.answer(zone="b")
    pair.live(50)
    pair.to(59)
    pair.disconnected(zone="a")
    assert pair.terminal is True
    asked(pair, 121)
    assert pair.terminal is True
    pair.to(122)
    assert pair.terminal is False


def test_the_zone_where_it_was_up_must_be_there_to_agree(pair: Bench) -> None:
    """However long the other one says that nobody is there; until nobody believes it any more."""
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
    """At that moment, where another zone shows the account."""
    pair.down("b")
    pair.to(30)
    pair.status(zone="a")
    pair.to(moment)
    pair.disconnected(zone="a")
    assert pair.terminal is terminal


# -- refusals --------------------------------------------------------------------------------------


def test_another_server_is_not_bound_by_a_refusal(bench: Bench) -> None:
    """The floor and the refusal were the old one's."""
    bench.up()
    bench.answer(TooManyRequestsError("enough"))
    bench.to(1)
    bench.link.forget_refusal("a")
    bench.renew()
    assert bench.subscribes() == [0, 1]
    assert bench.state == AccountState(available=False, status=Status.UNKNOWN)
    bench.authenticated(session="s2")
    bench.to(2)
    assert bench.terminal is True


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ForbiddenError("no"), Status.FORBIDDEN),
        (NotFoundError("who"), Status.NOT_FOUND),
    ],
)
def test_a_refusal_outlives_its_socket(
    bench: Bench, error: MetaApiError, status: Status
) -> None:
    """The status goes on to say why, and nothing is asked before its time."""
    bench.up()
    bench.answer(error)
    bench.down()
    assert bench.state.available is False
    bench.up(session="s2")
    assert bench.state == AccountState(available=False, status=status)
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(300)
    assert bench.subscribes() == [0, 300]


def test_a_refused_subscribe_is_not_urged(bench: Bench) -> None:
    """Not even by an event that came while it was in flight."""
    bench.up()
    bench.status()
    bench.answer(ValidationError("what"))
    bench.status()
    bench.to(1000)
    assert bench.subscribes() == [0]


def test_an_answer_to_a_link_that_is_up_plans_nothing(bench: Bench) -> None:
    """A foreign session made us subscribe; the terminal is ours all the same."""
    bench.come_up()
    bench.to(5)
    bench.authenticated(session="of another socket")
    assert bench.subscribes() == [0, 5]
    bench.answer(InternalError("fault"))
    bench.to(50)
    assert bench.subscribes() == [0, 5]
    assert bench.terminal is True


# -- reconnect -------------------------------------------------------------------------------------


def test_a_refused_reconnect_of_a_link_that_is_up_subscribes_nothing(
    bench: Bench,
) -> None:
    """It is subscribed already."""
    bench.come_up()
    bench.link.reconnect_sent(1)
    bench.link.reconnect_ended(2, authenticated=False)
    bench.to(50)
    assert bench.subscribes() == [0]


def test_after_a_reconnect_a_status_urges_again(bench: Bench) -> None:
    """Once before it, once after it."""
    bench.up()
    bench.answer()
    bench.to(1)
    bench.status()
    assert bench.subscribes() == [0, 1]
    bench.answer()
    bench.link.reconnect_sent(2)
    bench.link.reconnect_ended(2, authenticated=False)
    bench.to(2)
    assert bench.subscribes() == [0, 1, 2]
    bench.answer()
    bench.to(3)
    bench.status()
    assert bench.subscribes() == [0, 1, 2, 3]


def test_a_reconnect_as_the_first_request_of_a_socket_subscribes_afterwards(
    bench: Bench,
) -> None:
    """Its `authenticated` comes without a subscription, and no `status` follows it."""
    bench.link.reconnect_sent(0)
    bench.up()
    assert bench.subscribes() == []
    bench.authenticated(ANY, None)
    bench.link.reconnect_ended(1, authenticated=True)
    bench.to(1)
    assert bench.subscribes() == [1]


# -- facts -----------------------------------------------------------------------------------------


def test_facts_that_change_nothing_subscribe_nothing(bench: Bench) -> None:
    """REST is read again and again."""
    bench.come_up()
    for now in (10, 20, 30):
        bench.to(now)
        bench.link.facts(now, deployed=True)
        assert bench.link.deployed is True
        assert bench.terminal is True
    bench.to(31)
    assert bench.subscribes() == [0]


def test_deployed_again_keeps_the_reason_that_was(bench: Bench) -> None:
    """Only the reason that REST gave is taken back."""
    bench.come_up()
    bench.to(60)
    bench.link.probe_answered("a", 60, 60)
    bench.facts(deployed=False)
    assert bench.state.status is Status.NOT_DEPLOYED
    bench.facts(deployed=False)
    bench.facts(deployed=True)
    assert bench.state.status is Status.SILENT


@pytest.mark.parametrize("ever_on", [True, False])
def test_deployed_again_has_a_reason_of_its_own(bench: Bench, ever_on: bool) -> None:
    """Nothing is known of it since."""
    if ever_on:
        bench.come_up()
    bench.facts(deployed=False)
    bench.facts(exists=False)
    bench.facts(deployed=False)
    assert bench.state == AccountState(terminal=False, status=Status.NOT_DEPLOYED)
    bench.facts(deployed=None)
    assert bench.state.status is (
        Status.DISCONNECTED if ever_on else Status.NEVER_AUTHENTICATED
    )


def test_authenticated_knows_better_than_rest() -> None:
    """A terminal that speaks is deployed, and the other zones are asked again."""
    bench = Bench("a", "b", "c")
    for zone in ("a", "b", "c"):
        bench.up(zone)
        bench.answer(zone=zone)
    bench.facts(deployed=False)
    bench.down("c")
    bench.to(10)
    bench.authenticated(zone="a")
    assert bench.terminal is True
    assert bench.link.deployed is None
    bench.to(10)
    assert [bench.subscribes(zone) for zone in "abc"] == [[0], [0, 10], [0]]


def test_authenticated_of_an_account_that_was_gone_keeps_what_rest_said(
    pair: Bench,
) -> None:
    """It exists; that it is deployed is still true. A zone that is up needs no subscribe."""
    pair.facts(deployed=True)
    pair.facts(exists=False)
    assert pair.terminal == "unavailable"
    pair.to(10)
    pair.authenticated(zone="a")
    assert pair.terminal is True
    assert pair.link.deployed is True
    pair.to(20)
    assert pair.subscribes("b") == [0]


def test_news_of_rest_lift_the_floor_of_a_refusal(bench: Bench) -> None:
    """Once an hour; what was left of it is added to the next floor, and to no other."""
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
    """MetaApi took the account: a later refusal is a first one."""
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
    """It is lifted when it is needed."""
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
        (ForbiddenError("no"), True),
        (TooManyRequestsError("slow down"), True),
        (ValidationError("what"), True),
    ],
)
def test_what_lifts_no_floor(
    bench: Bench, error: MetaApiError, deployed: bool | None
) -> None:
    """A terminal that is there now explains NotFound alone; no news are none."""
    bench.up()
    bench.answer(error)
    bench.to(10)
    bench.facts(deployed=False)
    bench.facts(deployed=deployed)
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(300)
    assert bench.subscribes() == [0, 300]


def test_rest_that_changes_its_mind_asks_no_more_often(bench: Bench) -> None:
    """Twelve times an hour, whenever the hour begins."""
    bench.up()
    for now in range(0, 3 * 3600, 10):
        bench.to(now)
        if bench.link._zones["a"].in_flight:
            bench.answer(NotFoundError("who"))
        bench.facts(deployed=False)
        bench.facts(deployed=True)
        if bench.link._zones["a"].in_flight:
            bench.answer(NotFoundError("who"))
    asked_at = bench.subscribes()
    assert asked_at[:4] == [0, 1, 610, 910]
    lifted = [now for before, now in pairwise(asked_at) if now - before < 300]
    assert lifted == [1, 3600, 7200]
    for first in asked_at:
        assert sum(first <= when < first + 3600 for when in asked_at) <= 12


# -- zones -----------------------------------------------------------------------------------------


def test_zones_come_and_go() -> None:
    """What is known of those that stay is kept."""
    bench = Bench("a", "b")
    bench.come_up("a")
    bench.link.set_zones(["a", "c"], 5.0)
    assert bench.terminal is True
    assert bench.link.up_zones == ["a"]
    bench.to(5)
    bench.link.set_zones(["c"], 5.0)
    assert bench.terminal is True
    assert bench.link.up_zones == []
    bench.to(64.9)
    assert bench.terminal is True
    bench.to(65)
    assert bench.state == AccountState(available=False, status=Status.NO_CONNECTION)


def test_every_zone_has_its_moments() -> None:
    """One that is down does not hide what is due in another."""
    bench = Bench("a", "b")
    bench.up("b")
    bench.answer(zone="b")
    assert bench.link.deadline == 3
    bench.to(3)
    assert bench.subscribes("b") == [0, 3]


def test_spread(bench: Bench) -> None:
    """The first subscribe is drawn from it; without one there is no drawing."""
    drawn = []

    def jitter(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    link = Terminal(["a"], 0.0, jitter=jitter)
    link.socket_up("a", "s1", 10.0, 4.0)
    assert drawn == [(0.0, 4.0)]
    assert link.deadline == 14.0
    link.socket_up("a", "s2", 20.0)
    assert drawn == [(0.0, 4.0)]
    assert link.pending == [(Action.SUBSCRIBE, "a")]


# -- a user's quota that is used up ----------------------------------------------------------------

HELD = AccountState(available=False, status=Status.QUOTA_EXHAUSTED)


def test_hold(bench: Bench) -> None:
    """Nothing goes out before it ends, then at once; the quota is the reason until an answer comes."""
    bench.link.hold(400.0, 0.0)
    bench.to(1)
    assert bench.state == AccountState()
    bench.up()
    assert bench.state == HELD
    bench.to(399.9)
    assert bench.state == HELD
    assert bench.subscribes() == []
    bench.to(400)
    assert bench.state == HELD
    assert bench.subscribes() == [400]
    bench.answer()
    assert bench.state == AccountState(available=False, status=Status.UNKNOWN)
    bench.authenticated()
    assert bench.state == AccountState(terminal=True, status=Status.CONNECTED)


def test_a_hold_shows_with_the_next_look_at_the_clock(bench: Bench) -> None:
    """That is due at once; a thousand accounts need not be looked at in one turn."""
    bench.link.socket_up("a", "s1", 0.0, 2.0)
    bench.link.hold(400.0, 0.5)
    bench.link.hold(500.0, 0.7)
    assert bench.link.deadline == 0.5, "one that waits already keeps its turn"
    assert bench.state == AccountState()
    bench.to(0.7)
    assert bench.state == HELD


@pytest.mark.parametrize(
    ("before", "status"),
    [
        ([], Status.UNKNOWN),
        ([Bench.up], Status.UNKNOWN),
        ([Bench.up, lambda b: b.authenticated(session="foreign")], Status.UNKNOWN),
        ([Bench.up, Bench.answer], Status.UNKNOWN),
        ([Bench.up, lambda b: b.answer(AWAY)], Status.UNKNOWN),
        ([Bench.up, lambda b: b.answer(ValidationError("what"))], Status.UNKNOWN),
        ([Bench.up, lambda b: b.answer(ForbiddenError("no"))], Status.FORBIDDEN),
        ([Bench.up, lambda b: b.answer(NotFoundError("who"))], Status.NOT_FOUND),
        (
            [
                Bench.up,
                lambda b: b.answer(ForbiddenError("no")),
                lambda b: b.up(session="s2"),
            ],
            Status.FORBIDDEN,
        ),
        ([Bench.come_up], Status.CONNECTED),
        ([Bench.come_up, Bench.disconnected], Status.DISCONNECTED),
        ([lambda b: b.facts(deployed=False), Bench.up], Status.NOT_DEPLOYED),
        ([lambda b: b.facts(exists=False), Bench.up], Status.NOT_FOUND),
        ([Bench.up, lambda b: b.answer(InternalError("fault"))], HELD.status),
        (
            [
                Bench.up,
                Bench.status,
                lambda b: b.answer(InternalError("fault")),
            ],
            Status.UNKNOWN,
        ),
    ],
)
def test_who_is_held(
    bench: Bench, before: list[Callable[[Bench], None]], status: Status
) -> None:
    """Who waits to subscribe, has not subscribed, and has no other reason."""
    for step in before:
        step(bench)
    bench.link.hold(400.0, 0.0)
    bench.to(1)
    assert bench.state.status is status


def test_a_new_socket_is_held(bench: Bench) -> None:
    """The subscription went with the old one: nobody sees the account, as if it had been refused."""
    bench.come_up()
    bench.status()
    bench.link.hold(400.0, 0.0)
    bench.down()
    bench.to(10)
    assert bench.terminal is True
    bench.up(session="s2")
    assert bench.state == HELD


def test_one_zone_that_hears_is_enough() -> None:
    """The other one is held, which shows when the first is gone."""
    bench = Bench("a", "b")
    bench.up("a")
    bench.answer(AWAY)
    bench.link.hold(400.0, 0.0)
    bench.up("b")
    assert bench.terminal is None
    bench.down("a")
    bench.to(60)
    assert bench.state == HELD


def test_a_hold_that_meets_no_socket(bench: Bench) -> None:
    """It is over when one opens, and held nothing back."""
    bench.up()
    bench.answer()
    bench.down()
    bench.link.hold(50.0, 0.0)
    bench.to(55)
    bench.up(session="s2")
    assert bench.state == AccountState()
    assert bench.subscribes() == [0, 55]


@pytest.mark.parametrize("fact", ["deployed", "exists"])
def test_a_hold_is_over_for_whom_it_held_nothing_back(bench: Bench, fact: str) -> None:
    """Nothing wanted to subscribe to an account that was not there."""
    bench.facts(**{fact: False})
    bench.link.hold(50.0, 0.0)
    bench.up()
    bench.to(60)
    bench.facts(deployed=True)
    assert bench.state.status is not Status.QUOTA_EXHAUSTED
    assert bench.subscribes() == [60]


@pytest.mark.parametrize(
    ("heard", "silence", "state"),
    [
        (None, True, HELD),
        (Bench.status, True, AccountState(terminal=False, status=Status.SILENT)),
        (
            Bench.disconnected,
            False,
            AccountState(terminal=False, status=Status.DISCONNECTED),
        ),
        (
            lambda b: b.status(authenticated=False),
            False,
            AccountState(terminal=False, status=Status.DISCONNECTED),
        ),
    ],
)
def test_a_reconnect_of_a_held_account(
    bench: Bench,
    heard: Callable[[Bench], None] | None,
    *,
    silence: bool,
    state: AccountState,
) -> None:
    """Its `authenticated` counts; without a subscription, silence afterwards says nothing."""
    bench.link.hold(400.0, 0.0)
    bench.up()
    bench.link.reconnect_sent(0.0)
    bench.link.reconnect_accepted(0.0)
    bench.authenticated(ANY, None)
    bench.link.reconnect_ended(0.0, authenticated=True)
    assert bench.terminal is True
    if heard:
        heard(bench)
    if silence:
        bench.to(60)
        assert bench.terminal is True
        bench.link.probe_answered("a", 60, 60)
    assert bench.state == state
    bench.to(399)
    assert bench.subscribes() == []
    bench.to(400)
    assert bench.subscribes() == [400]


REFUSALS = pytest.mark.parametrize(
    ("error", "status"),
    [
        (ForbiddenError("no"), Status.FORBIDDEN),
        (NotFoundError("who"), Status.NOT_FOUND),
        (TooManyRequestsError("enough"), Status.QUOTA_EXHAUSTED),
    ],
)


def reconnect_refused(bench: Bench, error: MetaApiError) -> None:
    """Reconnect, after ten seconds, an account whose subscribe MetaApi refused."""
    bench.up()
    bench.answer(error)
    bench.to(10)
    bench.link.reconnect_sent(10)
    bench.link.reconnect_accepted(10)
    bench.authenticated(ANY, None)
    bench.link.reconnect_ended(10, authenticated=True)


@REFUSALS
def test_a_reconnect_of_a_refused_account(
    bench: Bench, error: MetaApiError, status: Status
) -> None:
    """It is on, then out of sight for the same reason; MetaApi is asked for a subscription after the floor."""
    reconnect_refused(bench, error)
    assert bench.terminal is True
    bench.to(70)
    assert bench.terminal is True
    assert bench.probes() == [70]
    bench.link.probe_answered("a", 70, 70)
    assert bench.state == AccountState(available=False, status=status)
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(300)
    assert bench.subscribes() == [0, 300]
    bench.authenticated()
    assert bench.terminal is True
    bench.answer()
    assert bench.terminal is True


def test_a_reconnect_of_an_account_that_goes_on_to_be_refused(bench: Bench) -> None:
    """A second refusal takes nothing away while a terminal is shown, and is the reason afterwards."""
    reconnect_refused(bench, NotFoundError("who"))
    for when in range(20, 320, 10):
        bench.to(when)
        bench.authenticated(ANY, None)
    bench.answer(ForbiddenError("still no"))
    assert bench.terminal is True
    bench.to(400)
    bench.link.probe_answered("a", 400, 400)
    assert bench.state == AccountState(available=False, status=Status.FORBIDDEN)


@REFUSALS
def test_a_refusal_ends_a_subscription(
    bench: Bench, error: MetaApiError, status: Status
) -> None:
    """What came on the socket before it says nothing of the silence after it."""
    bench.come_up()
    bench.live(100)
    bench.disconnected()
    bench.to(105)
    bench.answer(error)
    assert bench.state == AccountState(available=False, status=status)
    bench.to(120)
    bench.link.reconnect_sent(120)
    bench.link.reconnect_accepted(120)
    bench.authenticated(ANY, None)
    bench.link.reconnect_ended(120, authenticated=True)
    assert bench.terminal is True
    bench.to(180)
    bench.link.probe_answered("a", 180, 180)
    assert bench.state == AccountState(available=False, status=status)


@pytest.mark.parametrize(
    "error",
    [UnauthorizedError("no"), ValidationError("what"), InternalError("fault")],
)
def test_a_silence_without_a_subscription_is_no_evidence(
    bench: Bench, error: MetaApiError
) -> None:
    """What went wrong with the subscribes says nothing of the terminal: it is out of sight, then on."""
    bench.up()
    bench.answer(error)
    bench.link.reconnect_sent(0)
    bench.link.reconnect_accepted(0)
    bench.authenticated(ANY, None)
    bench.link.reconnect_ended(0, authenticated=True)
    for when in range(1, 60):
        bench.to(when)
        if bench.link._zones["a"].in_flight:
            bench.answer(error)
    assert bench.terminal is True
    bench.to(60)
    bench.link.probe_answered("a", 60, 60)
    assert bench.state == AccountState(available=False, status=Status.UNKNOWN)
    asked = len(bench.subscribes())
    bench.to(400)
    assert len(bench.subscribes()) > asked
    bench.authenticated()
    assert bench.terminal is True


def test_a_silence_without_a_subscription_leaves_the_other_zone(pair: Bench) -> None:
    """One zone that shows the account is enough, and is where it was up last."""
    pair.link.subscribe_answered("b", 0, ForbiddenError("no"))
    pair.to(50)
    pair.status()
    pair.to(60)
    pair.link.probe_answered("b", 60, 60)
    assert pair.terminal is True
    assert pair.link.up_zones == ["a"]


@pytest.mark.parametrize("authenticated_first", [True, False])
def test_faults_are_given_more_and_more_time_whatever_shows_itself(
    bench: Bench, *, authenticated_first: bool
) -> None:
    """A server that answers each subscribe with an error and shows a terminal all the same is not stormed."""
    bench.up()
    while bench.now < 3600:
        if bench.link._zones["a"].in_flight:
            if authenticated_first:
                bench.authenticated()
            bench.answer(InternalError("fault"))
            if not authenticated_first:
                bench.authenticated()
        bench.to(bench.now + 0.5)
    assert 12 <= len(bench.subscribes()) <= 20


def test_a_status_alone_lifts_no_refusal(bench: Bench) -> None:
    """It shows that there is a subscription, and no terminal."""
    bench.up()
    bench.answer(ForbiddenError("no"))
    bench.status()
    assert bench.state == AccountState(available=False, status=Status.FORBIDDEN)


def test_a_second_refusal_is_the_last_word(bench: Bench) -> None:
    """Until a new socket, new facts or a person make it a new question."""
    bench.up()
    bench.authenticated()
    bench.answer(ForbiddenError("no"))
    bench.to(60)
    bench.link.probe_answered("a", 60, 60)
    assert bench.state == AccountState(available=False, status=Status.FORBIDDEN)
    bench.to(4000)
    assert bench.subscribes() == [0]


def test_a_status_makes_a_planned_subscribe_needless(bench: Bench) -> None:
    """It shows that there is a subscription."""
    bench.up()
    bench.authenticated()
    bench.answer(InternalError("fault"))
    bench.to(1)
    bench.status()
    bench.to(50)
    assert bench.subscribes() == [0]


def test_a_refusal_ends_with_a_subscription(bench: Bench) -> None:
    """One that is given while a reconnected terminal is shown; its silence is evidence from then on."""
    reconnect_refused(bench, ForbiddenError("no"))
    for when in range(20, 320, 10):
        bench.to(when)
        bench.authenticated(ANY, None)
    bench.answer()
    bench.to(400)
    bench.link.probe_answered("a", 400, 400)
    assert bench.state == AccountState(terminal=False, status=Status.SILENT)


@pytest.mark.parametrize(
    ("error", "third"),
    [
        (InternalError("fault"), 5),
        (ValidationError("what"), 302),
        (ForbiddenError("no"), 302),
    ],
)
def test_a_reconnect_of_an_account_without_a_subscription(
    bench: Bench, error: MetaApiError, third: float
) -> None:
    """Whatever went wrong with the last subscribe, the next follows, or else silence would."""
    bench.up()
    bench.answer(InternalError("fault"))
    bench.to(1)
    bench.link.reconnect_sent(1)
    bench.authenticated(ANY, None)
    bench.link.reconnect_ended(1, authenticated=True)
    bench.to(1)
    assert bench.subscribes() == [0, 1]
    bench.to(2)
    bench.answer(error)
    bench.to(5)
    assert bench.terminal is True
    bench.authenticated(ANY, None)
    bench.to(400)
    assert bench.subscribes() == [0, 1, third]


@pytest.mark.parametrize("event", ["status", "disconnected"])
def test_a_refused_account_that_is_heard_of_is_subscribed(
    bench: Bench, event: str
) -> None:
    """Then its end is one, and silence is evidence."""
    reconnect_refused(bench, ForbiddenError("no"))
    if event == "disconnected":
        bench.disconnected()
        assert bench.state == AccountState(terminal=False, status=Status.DISCONNECTED)
        return
    bench.status()
    bench.to(70)
    bench.link.probe_answered("a", 70, 70)
    assert bench.state == AccountState(terminal=False, status=Status.SILENT)


# -- TimeoutErrors in a row ------------------------------------------------------------------------


def test_timeouts_in_a_row_are_counted(bench: Bench) -> None:
    """Over sockets, in sight or out of it, until anything else is answered."""
    bench.up()
    asked(bench, 21)
    assert bench.state == AccountState(terminal=None, timeouts=3)
    bench.away.clear()
    bench.down()
    assert bench.state.timeouts == 0
    bench.to(100)
    bench.up(session="s2")
    assert bench.state == AccountState(
        available=False, status=Status.UNKNOWN, timeouts=3
    )
    bench.answer(AWAY)
    bench.to(103)
    bench.answer(AWAY)
    assert bench.state.timeouts == 5
    bench.to(109)
    bench.answer(InternalError("fault"))
    assert bench.state.timeouts == 0


@pytest.mark.parametrize("error", [None, ForbiddenError("no")])
def test_another_answer_ends_the_row(bench: Bench, error: MetaApiError | None) -> None:
    """Accepted or refused: MetaApi knows the account here."""
    bench.up()
    bench.answer(AWAY)
    bench.to(3)
    assert bench.state.timeouts == 1
    bench.answer(error)
    assert bench.state.timeouts == 0


def test_a_terminal_ends_the_row(bench: Bench) -> None:
    """An answer that comes after its `authenticated` begins no new one."""
    bench.up()
    bench.answer(AWAY)
    bench.to(3)
    bench.authenticated()
    assert bench.state.timeouts == 0
    bench.answer(AWAY)
    bench.disconnected()
    assert bench.state.timeouts == 0


def test_a_zone_where_the_account_is_not_says_nothing_of_where_it_is() -> None:
    """An account that runs in one zone times out in the other for ever, and nobody is told."""
    bench = Bench("a", "b")
    bench.up("a")
    bench.up("b")
    bench.authenticated()
    bench.answer()
    states = []
    for minute in range(20):
        bench.answer(AWAY, "b")
        bench.status()
        states.append(bench.state)
        bench.to(minute * 60.0)
    assert {state.timeouts for state in states} == {0}


def test_every_open_socket_has_to_agree() -> None:
    """The shortest row counts."""
    bench = Bench("a", "b", "c")
    bench.up("a")
    bench.up("b")
    bench.answer(AWAY, "a")
    assert bench.state.timeouts == 0
    bench.answer(AWAY, "b")
    assert bench.state.timeouts == 1
    bench.to(3)
    bench.answer(AWAY, "b")
    assert bench.state.timeouts == 1
    bench.answer(AWAY, "a")
    assert bench.state.timeouts == 2


# -- seldom orders, exact moments ------------------------------------------------------------------


def test_a_reconnect_that_worked_elsewhere_goes_on_until_we_see_it(
    bench: Bench,
) -> None:
    """The `authenticated` came on another socket: ours has to ask, and nothing failed."""
    bench.come_up()
    bench.link.reconnect_sent(1.0)
    assert bench.link.reconnecting is True
    bench.link.reconnect_accepted(1.0)
    bench.link.reconnect_ended(2.0, authenticated=True, elsewhere=True)
    assert bench.link.reconnecting is False
    assert bench.state == AccountState(terminal=False, status=Status.RECONNECTING)
    assert bench.link.pending == [(Action.SUBSCRIBE, "a")]


def test_a_deployed_account_is_asked_for_at_once(bench: Bench) -> None:
    """Also one that was on, for which nothing was going to subscribe."""
    bench.come_up()
    bench.to(10)
    bench.facts(deployed=False)
    bench.to(20)
    assert bench.subscribes() == [0]
    bench.facts(deployed=True)
    assert bench.subscribes() == [0, 20]


def test_a_forgotten_refusal_hides_nothing() -> None:
    """The zone sees again, so the loss of another one does not make us blind."""
    bench = Bench("a", "b")
    bench.up("a")
    bench.up("b")
    bench.answer(TooManyRequestsError("full"), "a")
    bench.link.forget_refusal("a")
    bench.answer(AWAY, "b")
    bench.down("b")
    bench.to(70)
    assert bench.state.available is True


def test_a_zone_that_is_away_for_a_moment_is_waited_for() -> None:
    """It may be the one that has the account, until it is away for a minute."""
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
    assert bench.link.deadline == 80
    bench.to(80)
    assert bench.terminal is False


def test_a_terminal_that_is_believed_counts_timeouts(bench: Bench) -> None:
    """An earlier socket showed it, and this one does not."""
    bench.come_up()
    bench.renew()
    bench.answer(AWAY)
    assert bench.state == AccountState(
        terminal=True, status=Status.CONNECTED, timeouts=1
    )


def test_when_the_clock_is_looked_at_again(bench: Bench) -> None:
    """Not before it can change something, and not after it."""
    bench.up()
    assert bench.link.deadline == 60  # the round
    bench.link.hold(50.0, 0.0)
    bench.authenticated(session="of another socket")
    assert bench.link.deadline == 60  # a subscribe is in flight
    bench.answer(AWAY)
    assert bench.link.deadline == 50
    bench.link.reconnect_sent(1.0)
    assert bench.link.deadline == 60  # nothing subscribes now
    bench.link.reconnect_ended(2.0, authenticated=False)
    assert bench.link.deadline == 50


def test_when_an_on_that_nothing_shows_is_given_up(bench: Bench) -> None:
    """After two minutes; the clock is looked at then."""
    bench.come_up()
    bench.down()
    bench.to(1)
    bench.up(session="s2")
    bench.answer(ValidationError("what"))
    assert bench.link.deadline == 120
    bench.to(119)
    assert bench.terminal is True
    bench.to(120)
    assert bench.terminal == "unavailable"


def test_a_status_says_whether_it_told_anything_new(bench: Bench) -> None:
    """Only a repetition may be passed over."""
    bench.come_up()
    new = [
        bench.link.status("a", ONE, connected=connected, authenticated=True, now=now)
        for now, connected in enumerate((True, True, None, False, False, True))
    ]
    assert new == [True, False, False, True, False, True]


# -- what a person is told -------------------------------------------------------------------------

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


def test_what_is_told_of_subscribes(bench: Bench) -> None:
    """Under way, coming, or not to be; seconds count from now."""
    assert bench.link.diagnostics(0.0) == {"a": NOTHING}
    bench.up()
    told = NOTHING | {
        "socket": True,
        "subscribe_in_flight": True,
        "subscribe_pause": 3.0,
    }
    assert bench.link.diagnostics(0.0) == {"a": told}
    bench.answer(AWAY)
    told |= {"subscribe_in_flight": False, "subscribe_pause": 6.0, "timeouts": 1}
    coming = told | {"next_subscribe_in": 1.9}
    assert bench.link.diagnostics(1.06) == {"a": coming}
    bench.link.token_refused(1.06)
    assert bench.link.diagnostics(1.06) == {"a": told}
    bench.down()
    lost = NOTHING | {"subscribe_pause": 6.0, "timeouts": 1}
    assert bench.link.diagnostics(1.06) == {"a": lost}


def test_what_is_told_of_hosts_and_refusals() -> None:
    """Which socket showed a host, and when; for how long a refusal is heeded."""
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
    refused = up | {"refusal": Status.FORBIDDEN}
    assert bench.link.diagnostics(20.06) == {
        "a": up | {"hosts": [one | {"last_sign": 20.1}, two | {"last_sign": 10.1}]},
        "b": refused | {"refused_for": 289.9},
    }
    bench.to(61)
    hosts = [one | {"last_sign": 61.0}, two | {"last_sign": 51.0}]
    assert bench.link.diagnostics(61.0) == {
        "a": up | {"hosts": hosts, "probing": True},
        "b": refused | {"refused_for": 249.0},
    }
    bench.status(ONE, connected=None)
    bench.status((1, "ps-2"), connected=None)
    bench.link.probe_answered("a", 61.0, 61.0)
    assert bench.link.diagnostics(61.0)["a"]["probing"] is False
    bench.down("a")
    earlier = {"last_sign": 339.0, "session": "earlier"}
    hosts = [one | earlier, two | earlier]
    assert bench.link.diagnostics(400.0) == {
        "a": NOTHING | {"hosts": hosts, "subscribe_pause": 3.0},
        "b": refused,
    }
