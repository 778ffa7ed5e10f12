"""Test the state machine of one account: when it is on, off, unavailable and unknown."""

from api.errors import (
    ConnectionLostError,
    ForbiddenError,
    InternalError,
    MetaApiError,
    NoResponseError,
    NotFoundError,
    TerminalTimeoutError,
    TooManyRequestsError,
    UnauthorizedError,
)
from api.model import Status
from api.terminal.terminal import Action, Terminal
import pytest

from .bench import ANY, BAD, ONE, QUOTA, TIMING, TWO, Bench, View

# -- on ------------------------------------------------------------------------------------------


def test_on_only_at_authenticated(bench: Bench) -> None:
    """A socket, an accepted subscribe and a `status` do not turn the terminal on; `authenticated` does."""
    bench.up()
    bench.answer()
    bench.status()
    assert bench.terminal is None
    assert bench.authenticated()
    assert bench.view == View(terminal=True, status=Status.CONNECTED)


def test_on_with_the_two_fields_of_the_seed_page(bench: Bench) -> None:
    """An `authenticated` without host, instance and session turns the terminal on."""
    bench.up()
    assert bench.authenticated(ANY, None)
    assert bench.terminal is True


def test_foreign_session_is_not_on_but_subscribes_at_once(bench: Bench) -> None:
    """An `authenticated` of another session only triggers one subscribe."""
    bench.up()
    bench.answer()
    bench.to(1)
    assert not bench.authenticated(session="of another socket")
    assert bench.terminal is None
    assert bench.subscribes() == [0, 1]
    bench.answer()
    bench.authenticated(session="of another socket")
    bench.to(2)
    assert bench.subscribes() == [0, 1]


def test_authenticated_before_the_response_counts(bench: Bench) -> None:
    """An `authenticated` counts even if it arrives before the answer to the subscribe."""
    bench.up()
    bench.authenticated()
    bench.answer()
    bench.to(59)
    assert bench.terminal is True
    assert bench.subscribes() == [0]


def test_authenticated_ends_the_subscribing(bench: Bench) -> None:
    """No subscribe is sent once the terminal is authenticated and sends `status`."""
    bench.come_up()
    bench.live(990)
    assert bench.subscribes() == [0]


# -- off needs evidence --------------------------------------------------------------------------


def test_off_when_the_last_host_disconnects(bench: Bench) -> None:
    """A `disconnected` of the only host turns the terminal off."""
    bench.come_up()
    bench.disconnected()
    assert bench.view == View(terminal=False, status=Status.DISCONNECTED)


def test_disconnected_of_one_of_two_hosts_is_no_outage(bench: Bench) -> None:
    """The terminal stays on while at least one host is connected."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.disconnected(ONE)
    assert bench.terminal is True
    bench.disconnected(TWO)
    assert bench.terminal is False


def test_disconnected_of_one_of_two_zones_is_no_outage(pair: Bench) -> None:
    """The terminal stays on while at least one zone shows it."""
    pair.disconnected(zone="a")
    assert pair.terminal is True
    pair.disconnected(zone="b")
    assert pair.terminal is False


def test_missing_host_matches_any(bench: Bench) -> None:
    """A `disconnected` without a host ends all hosts; the name of an unnamed host is learned later."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.disconnected(ANY)
    assert bench.terminal is False
    bench.authenticated(ANY, None)
    bench.status(TWO)
    bench.disconnected(ONE)
    assert bench.terminal is True
    bench.disconnected(TWO)
    assert bench.terminal is False


def test_instances_on_one_socket_are_separate_hosts(bench: Bench) -> None:
    """The same host name in two instances counts as two hosts."""
    bench.up()
    bench.authenticated((0, "ps-1"))
    bench.authenticated((1, "ps-1"))
    bench.disconnected((0, "ps-1"))
    assert bench.terminal is True
    bench.disconnected((1, "ps-1"))
    assert bench.terminal is False


def test_off_after_silence_on_a_living_socket(bench: Bench) -> None:
    """The terminal turns off after 60 s without `status` and 9 s more without a sign of life, with a pong after each."""
    bench.come_up()
    bench.to(5)
    bench.status()
    bench.to(64.9)
    assert bench.probes() == []
    assert bench.subscribes() == [0]
    bench.to(65)
    assert bench.probes() == [65]
    assert bench.subscribes() == [0, 65]
    bench.to(73.9)
    assert bench.terminal is True
    bench.to(74)
    assert bench.probes() == [65, 74]
    assert bench.view == View(terminal=False, status=Status.SILENT)
    bench.answer(TerminalTimeoutError("away"))
    bench.to(77)
    assert bench.subscribes() == [0, 65, 77]


@pytest.mark.parametrize("answered", [[], [60]])
def test_silence_without_an_answered_ping_is_no_evidence(
    bench: Bench, answered: list[float]
) -> None:
    """Silence does not turn the terminal off while pings stay unanswered, as the whole network may be silent."""
    bench.come_up()
    bench.pongs = False
    for when in answered:
        bench.to(when)
        bench.pong()
    bench.to(300)
    assert bench.terminal is True
    assert bench.probes() == [60, 69][: 1 + len(answered)]


def test_a_ping_answered_that_was_sent_too_early_is_no_evidence(bench: Bench) -> None:
    """A pong counts only if its ping was sent after the 60 s or the 9 s had passed."""
    bench.come_up()
    bench.pongs = False
    bench.to(61)
    bench.pong(sent_at=59.9)
    assert bench.subscribes() == [0]
    bench.pong(sent_at=61)
    assert bench.subscribes() == [0, 61]
    bench.to(71)
    bench.pong(sent_at=69.9)
    assert bench.terminal is True
    bench.pong(sent_at=70)
    assert bench.terminal is False


@pytest.mark.parametrize("when", [60.5, 68.9])
def test_a_sign_of_life_during_the_ping_keeps_it_on(bench: Bench, when: float) -> None:
    """A `status` that arrives during the check for silence keeps the terminal on."""
    bench.come_up()
    bench.pongs = False
    bench.to(60)
    if when > 61:
        bench.pong()
    bench.to(when)
    bench.status()
    bench.to(when + 1)
    bench.pong()
    bench.to(when + 59)
    assert bench.terminal is True


def test_off_when_status_says_not_authenticated(bench: Bench) -> None:
    """A `status` with `authenticated: false` turns the terminal off."""
    bench.come_up()
    bench.status(authenticated=False)
    assert bench.view == View(terminal=False, status=Status.DISCONNECTED)


def test_off_at_an_accepted_reconnect_until_authenticated(bench: Bench) -> None:
    """An accepted reconnect turns the terminal off until it authenticates again."""
    bench.come_up()
    bench.machine.reconnect_sent(1)
    assert bench.terminal is True
    bench.machine.reconnect_accepted(1)
    assert bench.view == View(terminal=False, status=Status.RECONNECTING)
    bench.status()
    assert bench.terminal is False
    bench.authenticated()
    assert bench.terminal is True


def test_on_when_authenticated_came_before_the_reconnects_response(
    bench: Bench,
) -> None:
    """An `authenticated` between a reconnect request and its response keeps the terminal on."""
    bench.come_up()
    bench.machine.reconnect_sent(1)
    bench.authenticated()
    bench.machine.reconnect_accepted(1)
    assert bench.terminal is True


def test_off_when_rest_says_not_deployed(bench: Bench) -> None:
    """An account that is not deployed is off, and no subscribe is sent until it is deployed."""
    bench.come_up()
    bench.facts(deployed=False)
    assert bench.view == View(terminal=False, status=Status.NOT_DEPLOYED)
    bench.renew()
    bench.to(500)
    assert bench.subscribes() == [0]
    bench.facts(deployed=True)
    assert bench.subscribes() == [0, 500]
    assert bench.state.status is Status.DISCONNECTED


def test_not_deployed_stays_off_while_our_sockets_are_down(bench: Bench) -> None:
    """An account that is not deployed stays off without any socket."""
    bench.facts(deployed=False)
    bench.to(1000)
    assert bench.view == View(terminal=False, status=Status.NOT_DEPLOYED)


@pytest.mark.parametrize("error", [None, TerminalTimeoutError("away")])
def test_off_after_a_round_that_got_nowhere(
    bench: Bench, error: MetaApiError | None
) -> None:
    """A terminal that is down at startup is off after a round without `authenticated`, within 90 s."""
    bench.to(20)
    bench.up()
    bench.answer(error)
    bench.answer_until(79, error)
    assert bench.terminal is None
    bench.to(80)
    assert bench.terminal is False
    assert bench.state.status is Status.NEVER_AUTHENTICATED


def test_off_at_start_though_it_was_on_in_an_earlier_run() -> None:
    """A terminal that was on before a restart shows as disconnected, not as never authenticated."""
    bench = Bench(was_on=True)
    bench.up()
    bench.answer(TerminalTimeoutError("away"))
    bench.answer_until(60, TerminalTimeoutError("away"))
    bench.to(61)
    assert bench.terminal is False
    assert bench.state.status is Status.DISCONNECTED


def test_round_needs_an_answer(bench: Bench) -> None:
    """A round in which no subscribe was answered does not turn the terminal off."""
    bench.up()
    bench.to(89)
    assert bench.terminal is None
    bench.answer(NoResponseError("none"))
    bench.to(91)
    assert bench.terminal == "unavailable"


@pytest.mark.parametrize(
    "error",
    [InternalError("fault"), TooManyRequestsError("slow"), ConnectionLostError("lost")],
)
def test_other_errors_break_a_round(bench: Bench, error: MetaApiError) -> None:
    """Errors of MetaApi itself are not evidence about the terminal and restart the round."""
    bench.come_up()
    bench.renew()
    bench.answer()
    bench.to(3)
    bench.answer(error)
    bench.to(62)
    assert bench.terminal is True


def test_a_subscribe_in_flight_keeps_a_round_open(bench: Bench) -> None:
    """A round waits at its end for a subscribe in flight, but at most 9 s."""
    bench.up()
    bench.answer()
    bench.to(57)
    bench.answer(TooManyRequestsError("slow down"), retry_after=1)
    bench.to(58)
    bench.answer()
    bench.to(115)
    bench.authenticated(session="of another socket")
    bench.to(123.9)
    assert bench.terminal == "unavailable"
    bench.to(124)
    assert bench.terminal is False


def test_a_subscribe_that_hangs_keeps_no_round_open(bench: Bench) -> None:
    """A round does not wait for a subscribe that is already overdue."""
    bench.away = {"a"}
    bench.up()
    bench.to(40)
    bench.away = set()
    bench.to(59.9)
    assert bench.subscribes() == [0, 3, 9, 21, 45]
    assert bench.terminal is None
    bench.to(60)
    assert bench.terminal is False


def test_events_do_not_make_us_subscribe_at_the_servers_pace(bench: Bench) -> None:
    """Subscribes are at least a second apart, however many events the server sends."""
    bench.up()
    bench.answer()
    for step in range(1000):
        bench.to(1 + step / 100)
        bench.authenticated()
        bench.disconnected()
        bench.status()
        bench.answer()
    assert len(bench.subscribes()) <= 12


def test_a_refusal_of_a_terminal_that_is_up_keeps_its_floor(bench: Bench) -> None:
    """A 429 that arrives after `authenticated` still delays the next subscribe."""
    bench.up()
    bench.authenticated()
    bench.answer(TooManyRequestsError("slow down"), retry_after=300)
    bench.disconnected()
    bench.status()
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(301)
    assert bench.subscribes() == [0, 300]


def test_an_only_terminal_replaces_what_an_earlier_socket_showed(bench: Bench) -> None:
    """An `authenticated` with `replicas` 1 drops the hosts of an earlier socket."""
    bench.come_up()
    bench.renew()
    bench.machine.authenticated("a", TWO, "s2", bench.now, alone=True)
    bench.disconnected(TWO)
    assert bench.terminal is False


def test_a_zone_out_of_sight_does_not_hide_an_outage(pair: Bench) -> None:
    """One minute after a zone was lost, the other zone alone turns the terminal off."""
    pair.down("b")
    pair.live(70)
    pair.disconnected(zone="a")
    assert pair.terminal is False


def test_a_status_of_a_zone_that_does_not_have_it_is_no_outage() -> None:
    """At startup, `authenticated: false` from one zone says nothing about the other."""
    bench = Bench("a", "b")
    bench.up("a")
    bench.up("b")
    bench.status(zone="b", authenticated=False)
    assert bench.terminal is None


def test_a_zone_never_seen_does_not_count() -> None:
    """A zone whose socket never opened does not prevent the other from deciding."""
    bench = Bench("a", "b")
    bench.away = {"a"}
    bench.up("a")
    bench.to(61)
    assert bench.terminal is False


def test_a_zone_where_it_was_up_must_agree(pair: Bench) -> None:
    """If both zones showed the account, the rounds of both must end before it turns off."""
    pair.down("a")
    pair.down("b")
    pair.to(10)
    pair.away = {"a", "b"}
    pair.up("a", "s2")
    pair.to(50)
    pair.up("b", "s3")
    pair.to(109)
    assert pair.terminal is True
    pair.to(111)
    assert pair.terminal is False


@pytest.mark.parametrize(
    "error",
    [
        InternalError("fault"),
        NoResponseError("none"),
        TooManyRequestsError("slow down"),
        UnauthorizedError("you"),
    ],
)
def test_on_is_not_believed_for_ever(bench: Bench, error: MetaApiError) -> None:
    """A terminal that no socket confirms for two minutes becomes unavailable, whatever error is answered."""
    bench.come_up()
    bench.renew()
    bench.answer(error)
    bench.answer_until(119, error)
    assert bench.terminal is True
    bench.to(120)
    assert bench.terminal == "unavailable"


def test_on_is_not_believed_for_ever_on_a_socket_that_flaps(bench: Bench) -> None:
    """A terminal becomes unavailable even if a flapping socket is never down for 60 s."""
    bench.come_up()
    bench.to(50)
    for cycle in range(5):
        bench.down()
        bench.to(bench.now + 50)
        bench.up(session=f"s{cycle}")
        bench.answer()
        bench.to(bench.now + 50)
    assert bench.terminal == "unavailable"


def test_a_host_that_does_not_come_back_is_forgotten(bench: Bench) -> None:
    """A host of an earlier socket does not keep the terminal on when the live host disconnects."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.renew()
    bench.answer()
    bench.authenticated(ONE, "s2")
    bench.away = {"a"}
    bench.live(70)
    bench.disconnected(ONE)
    assert bench.terminal is False


# -- unavailable: the account is out of sight ----------------------------------------------------


def test_unavailable_after_sixty_seconds_without_a_socket(bench: Bench) -> None:
    """A short loss of the socket changes nothing; after 60 s the terminal is unavailable."""
    bench.come_up()
    bench.to(10)
    bench.down()
    bench.to(69.9)
    assert bench.view == View(terminal=True, status=Status.CONNECTED)
    bench.to(70)
    assert bench.view == View(available=False, status=Status.NO_CONNECTION)


def test_network_loss_is_on_unavailable_on_and_never_off(bench: Bench) -> None:
    """The terminal never shows off while only our own connection is lost."""
    bench.come_up()
    seen: list[bool | str | None] = []
    bench.down()
    for now in range(1, 200):
        bench.to(now)
        seen.append(bench.terminal)
    bench.up(session="s2")
    bench.answer()
    seen.append(bench.terminal)
    bench.authenticated(session="s2")
    seen.append(bench.terminal)
    assert False not in seen
    assert seen[-1] is True
    assert "unavailable" in seen


def test_loss_of_one_of_two_zones_where_it_was_up_is_seen_by_the_other(
    pair: Bench,
) -> None:
    """The terminal stays on while one of its two zones still shows it."""
    pair.down("a")
    pair.live(190, "b")
    assert pair.terminal is True


def test_loss_of_the_zone_where_it_was_up_blinds_us() -> None:
    """The terminal becomes unavailable when the only zone that showed it is lost."""
    bench = Bench("a", "b")
    bench.come_up("a")
    bench.up("b")
    bench.answer(TerminalTimeoutError("elsewhere"), "b")
    bench.down("a")
    bench.to(61)
    assert bench.terminal == "unavailable"


def test_unavailable_stays_until_the_round_decides(bench: Bench) -> None:
    """A new socket alone does not end unavailable; the round on it turns the terminal off."""
    bench.come_up()
    bench.down()
    bench.to(100)
    bench.away = {"a"}
    bench.up(session="s2")
    assert bench.view == View(available=False, status=Status.NO_ANSWER, timeouts=1)
    bench.to(159)
    assert bench.terminal == "unavailable"
    bench.to(160)
    assert bench.view == View(terminal=False, status=Status.DISCONNECTED, timeouts=5)


def test_short_loss_then_terminal_gone_is_off_after_the_round(bench: Bench) -> None:
    """A terminal that went down during a short gap of ours is off after the next round."""
    bench.come_up()
    bench.down()
    bench.to(30)
    bench.away = {"a"}
    bench.up(session="s2")
    bench.to(89)
    assert bench.terminal is True
    bench.to(90)
    assert bench.terminal is False


def test_status_after_a_gap_subscribes_but_proves_nothing(bench: Bench) -> None:
    """After a gap a `status` triggers a subscribe, but only `authenticated` confirms the terminal."""
    bench.come_up()
    bench.down()
    bench.away = {"a"}
    bench.up(session="s2")
    bench.to(1)
    bench.status()
    bench.to(1)
    assert bench.subscribes() == [0, 0, 1]
    for now in range(2, 61):
        bench.to(now)
        bench.status()
    assert bench.terminal is False


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QUOTA, Status.QUOTA_EXHAUSTED),
        (ForbiddenError("no"), Status.FORBIDDEN),
        (NotFoundError("who"), Status.NOT_FOUND),
        (BAD, Status.NO_ANSWER),
    ],
)
def test_unavailable_while_the_subscribe_is_refused(
    bench: Bench, error: MetaApiError, status: Status
) -> None:
    """A refused subscribe makes the account unavailable, and the status shows the reason."""
    bench.up()
    bench.answer(error)
    assert bench.view == View(available=False, status=status)


def test_a_refusal_in_one_zone_does_not_blind_the_other() -> None:
    """An account that one zone does not know can still be seen in the other."""
    bench = Bench("a", "b")
    bench.up("a")
    bench.up("b")
    bench.answer(NotFoundError("not here"), "b")
    assert bench.terminal is None
    bench.answer(zone="a")
    bench.authenticated(zone="a")
    assert bench.terminal is True
    bench.disconnected(zone="a")
    assert bench.terminal is False


def test_a_refusal_of_a_zone_never_seen_leaves_the_round_to_the_other() -> None:
    """A `NotFoundError` in a zone that never had the account leaves the decision to the other zone."""
    bench = Bench("a", "b")
    bench.away = {"a"}
    bench.up("a")
    bench.up("b")
    bench.answer(NotFoundError("not here"), "b")
    bench.to(61)
    assert bench.terminal is False


def test_unavailable_when_the_token_is_refused(bench: Bench) -> None:
    """With a refused token the account is unavailable, and neither subscribes nor REST reads are sent."""
    refused = View(available=False, status=Status.TOKEN_REFUSED)
    bench.come_up()
    bench.machine.token_refused(1)
    assert bench.view == refused
    bench.authenticated()
    bench.renew()
    bench.to(1000)
    assert bench.view == refused
    assert bench.subscribes() == [0]
    assert bench.questions() == []


def test_a_token_that_is_taken_again(bench: Bench) -> None:
    """After the token is accepted again, the account recovers by itself."""
    bench.come_up()
    bench.machine.token_refused(1)
    bench.down()
    bench.to(400)
    bench.machine.token_accepted(400)
    assert bench.view == View(available=False, status=Status.NO_CONNECTION)
    bench.come_up(session="s2")
    assert bench.terminal is True


def test_a_token_that_is_taken_again_lifts_the_floor(bench: Bench) -> None:
    """An accepted token lifts the floor that an `UnauthorizedError` had set."""
    bench.up()
    bench.answer(UnauthorizedError("you"))
    bench.to(10)
    assert bench.subscribes() == [0]
    bench.machine.token_accepted(10)
    bench.to(10)
    assert bench.subscribes() == [0, 10]


def test_unavailable_when_the_account_is_gone_upstream(bench: Bench) -> None:
    """A deleted account is unavailable, and no subscribe is sent until it exists again."""
    bench.come_up()
    bench.facts(exists=False)
    assert bench.view == View(available=False, status=Status.NOT_FOUND)
    bench.renew()
    bench.to(400)
    assert bench.subscribes() == [0]
    bench.facts(deployed=True)
    assert bench.subscribes() == [0, 400]


# -- unknown -------------------------------------------------------------------------------------


def test_unknown_until_the_first_round_decides(bench: Bench) -> None:
    """The terminal is unknown at startup, also once its socket is open."""
    assert bench.view == View(terminal=None, status=Status.UNKNOWN)
    bench.up()
    assert bench.terminal is None


def test_unknown_for_ninety_seconds_at_most(bench: Bench) -> None:
    """A terminal that is still undecided after 90 s becomes unavailable."""
    bench.to(50)
    bench.up()
    bench.answer(InternalError("fault"))
    bench.to(89.9)
    assert bench.terminal is None
    bench.to(90)
    assert bench.view == View(available=False, status=Status.NO_ANSWER)


def test_unknown_becomes_unavailable_when_no_socket_ever_opens(bench: Bench) -> None:
    """If no socket ever opens, the terminal becomes unavailable after 60 s."""
    bench.to(60)
    assert bench.view == View(available=False, status=Status.NO_CONNECTION)


# -- broker --------------------------------------------------------------------------------------


def test_broker_is_unknown_while_the_terminal_is_not_on(bench: Bench) -> None:
    """The broker connection is known only while the terminal is on."""
    bench.up()
    bench.status(connected=False)
    assert bench.state.broker is None
    bench.authenticated()
    assert bench.state.broker is None
    bench.status(connected=False)
    assert bench.view == View(
        terminal=True, broker=False, status=Status.BROKER_DISCONNECTED
    )
    bench.status(connected=None)
    assert bench.state.broker is False
    bench.status(connected=True)
    assert bench.view == View(terminal=True, broker=True, status=Status.CONNECTED)
    bench.disconnected()
    assert bench.state.broker is None


def test_broker_is_connected_when_any_host_says_so(bench: Bench) -> None:
    """The broker counts as connected if one of two hosts says so."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.status(ONE, connected=False)
    bench.status(TWO, connected=True)
    assert bench.state.broker is True


# -- reconnect -----------------------------------------------------------------------------------


def test_nothing_subscribes_between_a_reconnect_and_its_outcome(bench: Bench) -> None:
    """No subscribe is sent during a reconnect, since its `authenticated` would not prove the reconnect."""
    bench.up()
    bench.answer(TerminalTimeoutError("away"))
    bench.machine.reconnect_sent(1)
    bench.machine.reconnect_accepted(1)
    bench.status()
    bench.authenticated(session="of another socket")
    bench.to(50)
    assert bench.subscribes() == [0]
    assert bench.state.status is Status.RECONNECTING
    bench.machine.reconnect_ended(50, authenticated=False)
    bench.to(50)
    assert bench.subscribes() == [0, 50]
    assert bench.state.status is Status.RECONNECT_FAILED


def test_a_refused_reconnect_of_a_terminal_that_is_on_leaves_it_on(
    bench: Bench,
) -> None:
    """A refused reconnect changes nothing for a terminal that is on."""
    bench.come_up()
    bench.machine.reconnect_sent(1)
    bench.machine.reconnect_ended(2, authenticated=False)
    assert bench.view == View(terminal=True, status=Status.CONNECTED)


def test_a_reconnect_that_succeeded_elsewhere_renews_the_subscription(
    bench: Bench,
) -> None:
    """After a reconnect that succeeded on the extra socket, our own socket subscribes again."""
    bench.come_up()
    bench.machine.reconnect_sent(1)
    bench.machine.reconnect_accepted(1)
    bench.authenticated(ANY, None)
    bench.machine.reconnect_ended(2, authenticated=True, elsewhere=True)
    bench.to(2)
    assert bench.subscribes() == [0, 2]


def test_a_reconnect_does_not_break_the_floor_of_a_refusal(bench: Bench) -> None:
    """A refused account is asked at most 12 times an hour, however often a user reconnects it."""
    bench.up()
    bench.answer(ForbiddenError("no"))
    for now in range(10, 300, 10):
        bench.to(now)
        bench.machine.reconnect_sent(now)
        bench.machine.reconnect_ended(now, authenticated=False)
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(300)
    assert bench.subscribes() == [0, 300]


def test_a_status_with_part_of_a_name_updates_the_broker() -> None:
    """A `status` that names only the host updates the host whose full name is known."""
    terminal = Terminal(("a",), 0.0, timing=TIMING)
    terminal.socket_up("a", "s", 0.0)
    terminal.subscribe_answered("a", 0.0)
    assert terminal.authenticated("a", (0, "ps-1"), "s", 0.0)
    for connected in (True, False):
        assert terminal.status(
            "a", (None, "ps-1"), connected=connected, authenticated=True, now=1.0
        )
        assert terminal.state.broker is connected


def test_a_status_that_denies_the_terminal_waits_with_the_next_subscribe() -> None:
    """After `authenticated: false` the next subscribe waits three seconds, as after `disconnected`."""
    terminal = Terminal(("a",), 0.0, timing=TIMING)
    terminal.socket_up("a", "s", 0.0)
    terminal.subscribe_answered("a", 0.0)
    terminal.authenticated("a", (0, "ps-1"), "s", 0.0)
    terminal.pending.clear()
    assert terminal.status(
        "a", (0, "ps-1"), connected=None, authenticated=False, now=100.0
    )
    assert terminal.state.terminal is False
    assert terminal.pending == []
    terminal.tick(102.9)
    assert (Action.SUBSCRIBE, "a") not in terminal.pending
    terminal.tick(103.0)
    assert (Action.SUBSCRIBE, "a") in terminal.pending
