"""Test subscribing: rounds, pauses, floors, refusals, and holding back for the quota."""

from collections.abc import Callable
from itertools import pairwise

from api.errors import (
    ForbiddenError,
    InternalError,
    MetaApiError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from api.model import Status
from api.terminal.subscription import Subscription
import pytest

from .bench import ANY, AWAY, BAD, NONE_DEPLOYED, QUOTA, TIMING, Bench, View, asked

REFUSED = [
    ForbiddenError("no"),
    NotFoundError("who"),
    NONE_DEPLOYED,
    BAD,
    UnauthorizedError("you"),
]
"""Answers after which no subscribe is sent for 300 s."""


# -- subscribing ---------------------------------------------------------------------------------


def test_subscribe_repeats_three_seconds_doubling_to_three_hundred(
    bench: Bench,
) -> None:
    """Subscribes repeat after 3 s, doubling up to 300 s, even when accepted, until `authenticated` arrives."""
    bench.up()
    bench.answer()
    while bench.now < 1300:
        bench.to(bench.now + 1)
        if bench.subscribes()[-1] == bench.now:
            bench.answer()
    pauses = [
        b - a for a, b in zip(bench.subscribes(), bench.subscribes()[1:], strict=False)
    ]
    assert pauses == [3, 6, 12, 24, 48, 96, 192, 300, 300, 300]


def test_one_subscribe_at_a_time(bench: Bench) -> None:
    """No second subscribe is sent while one is in flight, except once when a `status` shows a terminal."""
    bench.up()
    bench.to(1000)
    assert bench.subscribes() == [0]
    for now in range(1000, 1100):
        bench.to(now)
        bench.status()
    assert bench.subscribes() == [0, 1000]


@pytest.mark.parametrize("recommended", [None, 20.0, 400.0])
def test_a_limit_waits_for_the_longer_of_time_and_floor(
    bench: Bench, recommended: float | None
) -> None:
    """After a limit the retry comes at the recommended time, but never before 60 s."""
    bench.up()
    bench.answer(QUOTA, retry_after=recommended)
    bench.status()
    bench.to(1000)
    assert bench.subscribes() == [0, max(recommended or 0, 60)]


@pytest.mark.parametrize(
    ("error", "first", "per_hour"),
    [
        (QUOTA, [0, 60, 180, 420, 720], 14),
        (TooManyRequestsError("slow down"), [0, 2, 6, 14, 30, 62, 126], 19),
    ],
)
def test_a_limit_that_repeats_is_given_more_and_more_time(
    bench: Bench, error: MetaApiError, first: list[float], per_hour: int
) -> None:
    """Pauses after a repeated limit grow up to five minutes; a different answer resets them."""
    bench.up()
    while bench.now < 3599:
        if bench.subscribes()[-1] == bench.now:
            bench.answer(error, retry_after=2)
        bench.to(bench.now + 1)
    assert bench.subscribes()[: len(first)] == first
    assert len(bench.subscribes()) <= per_hour
    sent = bench.subscribes()[-1]
    bench.to(sent + 300)
    bench.answer()
    bench.to(bench.now + 3)
    bench.answer(error, retry_after=2)
    bench.to(bench.now + 60)
    pauses = [b - a for a, b in pairwise(bench.subscribes())]
    assert pauses[len(pauses) - pauses[::-1].index(3) :][:1] == [first[1]]


@pytest.mark.parametrize("error", REFUSED)
def test_a_refusal_is_tried_again_after_the_floor(
    bench: Bench, error: MetaApiError
) -> None:
    """A refused subscribe is retried after 300 s and may succeed: no refusal is final."""
    bench.up()
    bench.answer(error)
    bench.to(299)
    bench.renew()
    assert bench.subscribes() == [0]
    bench.to(300)
    assert bench.subscribes() == [0, 300]
    bench.answer()
    bench.authenticated(session="s2")
    assert bench.terminal is True


@pytest.mark.parametrize("error", REFUSED)
def test_a_refusal_is_asked_again_twelve_times_an_hour_at_most(
    bench: Bench, error: MetaApiError
) -> None:
    """A refused account is tried every 300 s, even with new sockets, fresh facts or a user's reconnects."""
    bench.facts(deployed=True, connection="CONNECTED")
    bench.to(1000)
    bench.up()
    bench.answer(error)
    for second in range(1010, 4600, 10):
        bench.to(second)
        if bench.machine._places["a"].subscription.in_flight:
            bench.answer(error)
        bench.down()
        bench.up(session=str(second))
        bench.facts(deployed=True, connection="CONNECTED")
        bench.machine.reconnect_sent(bench.now)
        bench.machine.reconnect_ended(bench.now, authenticated=False)
    assert bench.subscribes() == list(range(1000, 4600, 300))


def test_not_found_is_tried_again_when_rest_knows_the_account(bench: Bench) -> None:
    """A deployment reported for the first time allows a subscribe at once; a known one does not."""
    bench.up()
    bench.answer(NotFoundError("who"))
    bench.to(10)
    bench.facts(deployed=True)
    bench.to(11)
    assert bench.subscribes() == [0, 10]
    bench.answer(NotFoundError("who"))
    bench.to(20)
    bench.facts(deployed=True)
    bench.to(600)
    assert bench.subscribes() == [0, 10]


def test_disconnected_subscribes_again_after_a_few_seconds(bench: Bench) -> None:
    """After `disconnected` a subscribe follows at random within one to five seconds; here after three."""
    bench.come_up()
    bench.to(10)
    bench.disconnected()
    bench.to(20)
    assert bench.subscribes() == [0, 13]


def test_status_of_a_terminal_not_authenticated_any_longer_subscribes_at_once(
    bench: Bench,
) -> None:
    """A `status` after `disconnected` shows a live terminal, so a subscribe is sent at once."""
    bench.come_up()
    bench.to(10)
    bench.disconnected()
    bench.to(10.5)
    bench.status()
    assert bench.subscribes() == [0, 10.5]


def test_a_late_answer_of_a_lost_socket_is_ignored(bench: Bench) -> None:
    """An answer that arrives after its socket was lost changes nothing."""
    bench.up()
    bench.down()
    bench.answer(ForbiddenError("no"))
    assert bench.state.status is Status.UNKNOWN


# -- refusals --------------------------------------------------------------------------------------


def test_another_server_is_not_bound_by_a_refusal(bench: Bench) -> None:
    """Moving to another server drops the refusal and its floor, which belonged to the old server."""
    bench.up()
    bench.answer(QUOTA)
    bench.to(1)
    bench.machine.forget_refusal("a")
    bench.renew()
    assert bench.subscribes() == [0, 1]
    assert bench.view == View(available=False, status=Status.NO_ANSWER)
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
    """After a new socket the status still shows the refusal, and its floor still applies."""
    bench.up()
    bench.answer(error)
    bench.down()
    assert bench.state.available is False
    bench.up(session="s2")
    assert bench.view == View(available=False, status=status)
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(300)
    assert bench.subscribes() == [0, 300]


def test_a_refused_subscribe_is_not_urged(bench: Bench) -> None:
    """A `status` during or after the refused subscribe does not shorten its floor."""
    bench.up()
    bench.status()
    bench.answer(BAD)
    bench.status()
    bench.to(299)
    assert bench.subscribes() == [0]


def test_an_answer_to_a_terminal_that_is_up_plans_nothing(bench: Bench) -> None:
    """An error to an extra subscribe has no effect while the terminal is connected."""
    bench.come_up()
    bench.to(5)
    bench.authenticated(session="of another socket")
    assert bench.subscribes() == [0, 5]
    bench.answer(InternalError("fault"))
    bench.to(50)
    assert bench.subscribes() == [0, 5]
    assert bench.terminal is True


# -- a user's quota that is used up ----------------------------------------------------------------

HELD = View(available=False, status=Status.QUOTA_EXHAUSTED)


def test_a_held_account_subscribes_when_the_hold_ends(bench: Bench) -> None:
    """A held account subscribes as soon as the hold ends, and shows the quota until it gets an answer."""
    bench.machine.hold(400.0, 0.0)
    bench.to(1)
    assert bench.view == View()
    bench.up()
    assert bench.view == HELD
    bench.to(399.9)
    assert bench.view == HELD
    assert bench.subscribes() == []
    bench.to(400)
    assert bench.view == HELD
    assert bench.subscribes() == [400]
    bench.answer()
    assert bench.view == View(available=False, status=Status.NO_ANSWER)
    bench.authenticated()
    assert bench.view == View(terminal=True, status=Status.CONNECTED)


def test_a_hold_shows_with_the_next_look_at_the_clock(bench: Bench) -> None:
    """A hold takes effect at the next tick, which is due at once, so that many accounts need not update in one turn."""
    bench.machine.socket_up("a", "s1", 0.0, 2.0)
    bench.machine.hold(400.0, 0.5)
    bench.machine.hold(500.0, 0.7)
    assert bench.machine.deadline == 0.5, "an account that already waits keeps its turn"
    assert bench.view == View()
    bench.to(0.7)
    assert bench.view == HELD


@pytest.mark.parametrize(
    ("before", "status"),
    [
        ([], Status.UNKNOWN),
        ([Bench.up], Status.UNKNOWN),
        ([Bench.up, lambda b: b.authenticated(session="foreign")], Status.UNKNOWN),
        ([Bench.up, Bench.answer], Status.UNKNOWN),
        ([Bench.up, lambda b: b.answer(AWAY)], Status.UNKNOWN),
        ([Bench.up, lambda b: b.answer(BAD)], Status.NO_ANSWER),
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
def test_which_accounts_show_the_quota(
    bench: Bench, before: list[Callable[[Bench], None]], status: Status
) -> None:
    """Only an account that waits for its first subscribe, and has no other reason, shows the quota."""
    for step in before:
        step(bench)
    bench.machine.hold(400.0, 0.0)
    bench.to(1)
    assert bench.state.status is status


def test_a_new_socket_is_held(bench: Bench) -> None:
    """A new socket has no subscription, so a held account is out of sight because of the quota."""
    bench.come_up()
    bench.status()
    bench.machine.hold(400.0, 0.0)
    bench.down()
    bench.to(10)
    assert bench.terminal is True
    bench.up(session="s2")
    assert bench.view == HELD


def test_one_zone_with_an_answer_is_enough() -> None:
    """A hold of one zone shows only when the other zone, which has an answer, is lost."""
    bench = Bench("a", "b")
    bench.up("a")
    bench.answer(AWAY)
    bench.machine.hold(400.0, 0.0)
    bench.up("b")
    assert bench.terminal is None
    bench.down("a")
    bench.to(60)
    assert bench.view == HELD


def test_a_hold_without_a_socket(bench: Bench) -> None:
    """A hold that ends before a socket opens has no effect."""
    bench.up()
    bench.answer()
    bench.down()
    bench.machine.hold(50.0, 0.0)
    bench.to(55)
    bench.up(session="s2")
    assert bench.view == View()
    assert bench.subscribes() == [0, 55]


@pytest.mark.parametrize("fact", ["deployed", "exists"])
def test_a_hold_does_not_show_for_an_absent_account(bench: Bench, fact: str) -> None:
    """A hold does not show for an account that was not deployed or did not exist meanwhile."""
    bench.facts(**{fact: False})
    bench.machine.hold(50.0, 0.0)
    bench.up()
    bench.to(60)
    bench.facts(deployed=True)
    assert bench.state.status is not Status.QUOTA_EXHAUSTED
    assert bench.subscribes() == [60]


@pytest.mark.parametrize(
    ("heard", "silence", "state"),
    [
        (None, True, HELD),
        (Bench.status, True, View(terminal=False, status=Status.SILENT)),
        (
            Bench.disconnected,
            False,
            View(terminal=False, status=Status.DISCONNECTED),
        ),
        (
            lambda b: b.status(authenticated=False),
            False,
            View(terminal=False, status=Status.DISCONNECTED),
        ),
    ],
)
def test_a_reconnect_of_a_held_account(
    bench: Bench,
    heard: Callable[[Bench], None] | None,
    *,
    silence: bool,
    state: View,
) -> None:
    """A held account turns on after a reconnect; without a subscription, later silence is not evidence."""
    bench.machine.hold(400.0, 0.0)
    bench.up()
    bench.machine.reconnect_sent(0.0)
    bench.machine.reconnect_accepted(0.0)
    bench.authenticated(ANY, None)
    bench.machine.reconnect_ended(0.0, authenticated=True)
    assert bench.terminal is True
    if heard:
        heard(bench)
    if silence:
        bench.to(59.9)
        assert bench.terminal is True
        bench.to(69)
    assert bench.view == state
    bench.to(399)
    assert bench.subscribes() == []
    bench.to(400)
    assert bench.subscribes() == [400]


REFUSALS = pytest.mark.parametrize(
    ("error", "status"),
    [
        (ForbiddenError("no"), Status.FORBIDDEN),
        (NotFoundError("who"), Status.NOT_FOUND),
        (QUOTA, Status.QUOTA_EXHAUSTED),
    ],
)


def reconnect_refused(bench: Bench, error: MetaApiError) -> None:
    """Reconnect, after ten seconds, an account whose subscribe was refused."""
    bench.up()
    bench.answer(error, retry_after=300)
    bench.to(10)
    bench.machine.reconnect_sent(10)
    bench.machine.reconnect_accepted(10)
    bench.authenticated(ANY, None)
    bench.machine.reconnect_ended(10, authenticated=True)


@REFUSALS
def test_a_reconnect_of_a_refused_account(
    bench: Bench, error: MetaApiError, status: Status
) -> None:
    """A refused account is on after a reconnect, then out of sight again; the subscribe follows after the floor."""
    reconnect_refused(bench, error)
    assert bench.terminal is True
    bench.to(69.9)
    assert bench.terminal is True
    bench.to(70)
    assert bench.probes() == [70]
    assert bench.view == View(available=False, status=status)
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(300)
    assert bench.subscribes() == [0, 300]
    bench.authenticated()
    assert bench.terminal is True
    bench.answer()
    assert bench.terminal is True


def test_a_reconnect_of_an_account_that_goes_on_to_be_refused(bench: Bench) -> None:
    """A second refusal has no effect while a terminal is shown, but is the reason afterwards."""
    reconnect_refused(bench, NotFoundError("who"))
    for when in range(20, 320, 10):
        bench.to(when)
        bench.authenticated(ANY, None)
    bench.answer(ForbiddenError("still no"))
    assert bench.terminal is True
    bench.to(400)
    bench.to(409)
    assert bench.view == View(available=False, status=Status.FORBIDDEN)


@REFUSALS
def test_a_refusal_ends_a_subscription(
    bench: Bench, error: MetaApiError, status: Status
) -> None:
    """After a refusal, silence is not evidence, even if events arrived on this socket before."""
    bench.come_up()
    bench.live(100)
    bench.disconnected()
    bench.to(105)
    bench.answer(error)
    assert bench.view == View(available=False, status=status)
    bench.to(120)
    bench.machine.reconnect_sent(120)
    bench.machine.reconnect_accepted(120)
    bench.authenticated(ANY, None)
    bench.machine.reconnect_ended(120, authenticated=True)
    assert bench.terminal is True
    bench.to(180)
    bench.to(189)
    assert bench.view == View(available=False, status=status)


@pytest.mark.parametrize(
    "error",
    [UnauthorizedError("no"), ValidationError("what"), InternalError("fault")],
)
def test_a_silence_without_a_subscription_is_no_evidence(
    bench: Bench, error: MetaApiError
) -> None:
    """After failed subscribes, silence puts a reconnected terminal out of sight; `authenticated` turns it on."""
    bench.up()
    bench.answer(error)
    bench.machine.reconnect_sent(0)
    bench.machine.reconnect_accepted(0)
    bench.authenticated(ANY, None)
    bench.machine.reconnect_ended(0, authenticated=True)
    for when in range(1, 60):
        bench.to(when)
        if bench.machine._places["a"].subscription.in_flight:
            bench.answer(error)
    assert bench.terminal is True
    bench.to(60)
    bench.to(69)
    assert bench.view == View(available=False, status=Status.NO_ANSWER)
    asked = len(bench.subscribes())
    bench.to(400)
    assert len(bench.subscribes()) > asked
    bench.authenticated()
    assert bench.terminal is True


def test_a_silence_without_a_subscription_leaves_the_other_zone(pair: Bench) -> None:
    """One zone that still shows the account keeps it on when the other is silent without a subscription."""
    pair.machine.subscribe_answered("b", 0, ForbiddenError("no"))
    pair.to(50)
    pair.status()
    pair.to(60)
    pair.to(60)
    assert pair.terminal is True
    assert pair.machine.up_places == ["a"]


def test_a_silence_without_a_subscription_leaves_what_is_believed(pair: Bench) -> None:
    """What an earlier socket of the other zone showed still counts, so that zone now decides."""
    pair.renew("s3", "b")
    pair.answer(InternalError("fault"), "b")
    pair.machine.subscribe_answered("a", 0, ForbiddenError("no"))
    pair.to(59)
    assert pair.machine.up_places == ["a", "b"]
    pair.to(60)
    assert pair.terminal is True
    assert pair.machine.up_places == ["b"]


@pytest.mark.parametrize("authenticated_first", [True, False])
def test_faults_are_given_more_and_more_time_whatever_shows_itself(
    bench: Bench, *, authenticated_first: bool
) -> None:
    """Pauses grow even if the server shows a terminal with every error, so it is not flooded with subscribes."""
    bench.up()
    while bench.now < 3600:
        if bench.machine._places["a"].subscription.in_flight:
            if authenticated_first:
                bench.authenticated()
            bench.answer(InternalError("fault"))
            if not authenticated_first:
                bench.authenticated()
        bench.to(bench.now + 0.5)
    assert 12 <= len(bench.subscribes()) <= 20


def test_a_status_alone_lifts_no_refusal(bench: Bench) -> None:
    """A `status` shows a subscription but no terminal, so the refusal remains."""
    bench.up()
    bench.answer(ForbiddenError("no"))
    bench.status()
    assert bench.view == View(available=False, status=Status.FORBIDDEN)


def test_a_second_refusal_is_asked_again_after_the_floor(bench: Bench) -> None:
    """A refusal that arrives while a terminal is shown has the usual floor."""
    bench.up()
    bench.authenticated()
    bench.answer(ForbiddenError("no"))
    bench.to(60)
    assert bench.view == View(available=False, status=Status.FORBIDDEN)
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(300)
    assert bench.subscribes() == [0, 300]


def test_a_status_makes_a_planned_subscribe_needless(bench: Bench) -> None:
    """A `status` shows that there is a subscription, so the planned subscribe is not sent."""
    bench.up()
    bench.authenticated()
    bench.answer(InternalError("fault"))
    bench.to(1)
    bench.status()
    bench.to(50)
    assert bench.subscribes() == [0]


def test_a_refusal_ends_with_a_subscription(bench: Bench) -> None:
    """An accepted subscribe ends the refusal, so silence is evidence from then on."""
    reconnect_refused(bench, ForbiddenError("no"))
    for when in range(20, 320, 10):
        bench.to(when)
        bench.authenticated(ANY, None)
    bench.answer()
    bench.to(400)
    bench.to(409)
    assert bench.view == View(terminal=False, status=Status.SILENT)


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
    """After a reconnect the subscribe is repeated until it succeeds; otherwise no `status` would arrive."""
    bench.up()
    bench.answer(InternalError("fault"))
    bench.to(1)
    bench.machine.reconnect_sent(1)
    bench.authenticated(ANY, None)
    bench.machine.reconnect_ended(1, authenticated=True)
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
    """A `status` or `disconnected` shows a subscription, so an end or a silence is evidence."""
    reconnect_refused(bench, ForbiddenError("no"))
    if event == "disconnected":
        bench.disconnected()
        assert bench.view == View(terminal=False, status=Status.DISCONNECTED)
        return
    bench.status()
    bench.to(70)
    bench.to(79)
    assert bench.view == View(terminal=False, status=Status.SILENT)


# -- TimeoutErrors in a row ------------------------------------------------------------------------


def test_timeouts_in_a_row_are_counted(bench: Bench) -> None:
    """Consecutive `TimeoutError` answers are counted across sockets until a different answer arrives."""
    bench.up()
    asked(bench, 21)
    assert bench.view == View(terminal=None, timeouts=3)
    bench.away.clear()
    bench.down()
    assert bench.state.timeouts == 0
    bench.to(100)
    bench.up(session="s2")
    assert bench.view == View(available=False, status=Status.NO_ANSWER, timeouts=3)
    bench.answer(AWAY)
    bench.to(103)
    bench.answer(AWAY)
    assert bench.state.timeouts == 5
    bench.to(109)
    bench.answer(InternalError("fault"))
    assert bench.state.timeouts == 0


@pytest.mark.parametrize("error", [None, ForbiddenError("no")])
def test_another_answer_ends_the_row(bench: Bench, error: MetaApiError | None) -> None:
    """An accepted or refused subscribe resets the count, because MetaApi knows the account here."""
    bench.up()
    bench.answer(AWAY)
    bench.to(3)
    assert bench.state.timeouts == 1
    bench.answer(error)
    assert bench.state.timeouts == 0


def test_a_terminal_ends_the_row(bench: Bench) -> None:
    """An `authenticated` resets the count, and a late `TimeoutError` does not start a new one."""
    bench.up()
    bench.answer(AWAY)
    bench.to(3)
    bench.authenticated()
    assert bench.state.timeouts == 0
    bench.answer(AWAY)
    bench.disconnected()
    assert bench.state.timeouts == 0


def test_a_zone_where_the_account_is_not_says_nothing_of_where_it_is() -> None:
    """Timeouts in a zone are not shown while the account runs in another zone."""
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
    """The lowest count among the open sockets is shown."""
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


def test_a_later_wanted_time_keeps_an_earlier_one() -> None:
    """A later wanted time does not postpone an earlier one."""
    subscription = Subscription(TIMING)
    subscription.want(5.0)
    subscription.want_by(10.0)
    assert subscription.wanted_at == 5.0
    subscription.want_by(2.0)
    assert subscription.wanted_at == 2.0
