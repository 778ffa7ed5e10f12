"""The state machine of one account: each rule of on, off, unavailable and unknown by name."""

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
    """A socket, an accepted subscribe and a status do not turn the terminal on."""
    bench.up()
    bench.answer()
    bench.status()
    assert bench.terminal is None
    assert bench.authenticated()
    assert bench.view == View(terminal=True, status=Status.CONNECTED)


def test_on_with_the_two_fields_of_the_seed_page(bench: Bench) -> None:
    """An `authenticated` without host, instance and session counts."""
    bench.up()
    assert bench.authenticated(ANY, None)
    assert bench.terminal is True


def test_foreign_session_is_not_on_but_subscribes_at_once(bench: Bench) -> None:
    """A stale `authenticated` only makes us subscribe, and only once."""
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
    """The order of `authenticated` and the answer does not matter."""
    bench.up()
    bench.authenticated()
    bench.answer()
    bench.to(59)
    assert bench.terminal is True
    assert bench.subscribes() == [0]


def test_authenticated_ends_the_subscribing(bench: Bench) -> None:
    """Once authenticated, nothing subscribes any more."""
    bench.come_up()
    bench.live(990)
    assert bench.subscribes() == [0]


# -- off needs evidence --------------------------------------------------------------------------


def test_off_when_the_last_host_disconnects(bench: Bench) -> None:
    """`disconnected` of the only host is evidence."""
    bench.come_up()
    bench.disconnected()
    assert bench.view == View(terminal=False, status=Status.DISCONNECTED)


def test_disconnected_of_one_of_two_hosts_is_no_outage(bench: Bench) -> None:
    """The account is up while any host is."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.disconnected(ONE)
    assert bench.terminal is True
    bench.disconnected(TWO)
    assert bench.terminal is False


def test_disconnected_of_one_of_two_zones_is_no_outage(pair: Bench) -> None:
    """The account is up while any zone shows it."""
    pair.disconnected(zone="a")
    assert pair.terminal is True
    pair.disconnected(zone="b")
    assert pair.terminal is False


def test_missing_host_matches_any(bench: Bench) -> None:
    """A `disconnected` without a host means all of them; an unnamed host is learnt."""
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


def test_instances_on_one_socket_are_apart(bench: Bench) -> None:
    """The same host name in two instances is two hosts."""
    bench.up()
    bench.authenticated((0, "ps-1"))
    bench.authenticated((1, "ps-1"))
    bench.disconnected((0, "ps-1"))
    assert bench.terminal is True
    bench.disconnected((1, "ps-1"))
    assert bench.terminal is False


def test_off_after_silence_on_a_living_socket(bench: Bench) -> None:
    """60 s without status, then 9 s in which a subscribe brought nothing, with a pong after each."""
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
    """A network that goes silent as a whole says nothing about the terminal."""
    bench.come_up()
    bench.pongs = False
    for when in answered:
        bench.to(when)
        bench.pong()
    bench.to(300)
    assert bench.terminal is True
    assert bench.probes() == [60, 69][: 1 + len(answered)]


def test_a_ping_answered_that_was_sent_too_early_is_no_evidence(bench: Bench) -> None:
    """Only pings sent after the 60 s and the 9 s count."""
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
    """One that was on its way when we asked, or one that a subscribe brought."""
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
    """`status.authenticated: false` is evidence."""
    bench.come_up()
    bench.status(authenticated=False)
    assert bench.view == View(terminal=False, status=Status.DISCONNECTED)


def test_off_at_an_accepted_reconnect_until_authenticated(bench: Bench) -> None:
    """Once MetaApi took the request, the terminal is off until it is authenticated anew."""
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
    """An `authenticated` between request and response counts as the new one."""
    bench.come_up()
    bench.machine.reconnect_sent(1)
    bench.authenticated()
    bench.machine.reconnect_accepted(1)
    assert bench.terminal is True


def test_off_when_rest_says_not_deployed(bench: Bench) -> None:
    """REST is evidence, and nothing subscribes to an account that does not run."""
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
    """What REST says does not need a socket."""
    bench.facts(deployed=False)
    bench.to(1000)
    assert bench.view == View(terminal=False, status=Status.NOT_DEPLOYED)


@pytest.mark.parametrize("error", [None, TerminalTimeoutError("away")])
def test_off_after_a_round_that_got_nowhere(
    bench: Bench, error: MetaApiError | None
) -> None:
    """A terminal that is down at start is off within 90 s."""
    bench.to(20)
    bench.up()
    bench.answer(error)
    bench.answer_until(79, error)
    assert bench.terminal is None
    bench.to(80)
    assert bench.terminal is False
    assert bench.state.status is Status.NEVER_AUTHENTICATED


def test_off_at_start_though_it_was_on_in_an_earlier_run() -> None:
    """It dropped, as far as anybody knows: nothing is wrong with its password."""
    bench = Bench(was_on=True)
    bench.up()
    bench.answer(TerminalTimeoutError("away"))
    bench.answer_until(60, TerminalTimeoutError("away"))
    bench.to(61)
    assert bench.terminal is False
    assert bench.state.status is Status.DISCONNECTED


def test_round_needs_an_answer(bench: Bench) -> None:
    """A socket on which no subscribe was answered says nothing."""
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
    """An error of MetaApi's own is no evidence about the terminal."""
    bench.come_up()
    bench.renew()
    bench.answer()
    bench.to(3)
    bench.answer(error)
    bench.to(62)
    assert bench.terminal is True


def test_a_subscribe_in_flight_keeps_a_round_open(bench: Bench) -> None:
    """The last subscribe of the round may still be answered, but not for ever."""
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
    """It is overdue when the round ends."""
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
    """A second passes between two subscribes, whatever the server sends."""
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
    """A 429 after the `authenticated` still means a pause."""
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
    """With `replicas` 1 there is no other host to wait for."""
    bench.come_up()
    bench.renew()
    bench.machine.authenticated("a", TWO, "s2", bench.now, alone=True)
    bench.disconnected(TWO)
    assert bench.terminal is False


def test_a_zone_out_of_sight_does_not_hide_an_outage(pair: Bench) -> None:
    """After a minute, what a lost zone showed does not count beside what a living one says."""
    pair.down("b")
    pair.live(70)
    pair.disconnected(zone="a")
    assert pair.terminal is False


def test_a_status_of_a_zone_that_does_not_have_it_is_no_outage() -> None:
    """At start, `authenticated: false` of one zone says nothing about the other."""
    bench = Bench("a", "b")
    bench.up("a")
    bench.up("b")
    bench.status(zone="b", authenticated=False)
    assert bench.terminal is None


def test_a_zone_never_seen_does_not_count() -> None:
    """The other zone's socket never came up: the first zone decides alone."""
    bench = Bench("a", "b")
    bench.away = {"a"}
    bench.up("a")
    bench.to(61)
    assert bench.terminal is False


def test_a_zone_where_it_was_up_must_agree(pair: Bench) -> None:
    """Where the account was ever up, its socket must be alive before a round decides."""
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
    """An on that no socket shows any more is out of sight after two minutes, whatever we hear."""
    bench.come_up()
    bench.renew()
    bench.answer(error)
    bench.answer_until(119, error)
    assert bench.terminal is True
    bench.to(120)
    assert bench.terminal == "unavailable"


def test_on_is_not_believed_for_ever_on_a_socket_that_flaps(bench: Bench) -> None:
    """A socket that is up 50 s and down 50 s is never blind for 60 s, but shows nothing."""
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
    """What an earlier socket showed does not keep the account on beside a living host."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.renew()
    bench.answer()
    bench.authenticated(ONE, "s2")
    bench.away = {"a"}
    bench.live(70)
    bench.disconnected(ONE)
    assert bench.terminal is False


# -- unavailable means that we cannot see --------------------------------------------------------


def test_unavailable_after_sixty_seconds_without_a_socket(bench: Bench) -> None:
    """A short loss shows nothing at all; a long one is our blindness, not an outage."""
    bench.come_up()
    bench.to(10)
    bench.down()
    bench.to(69.9)
    assert bench.view == View(terminal=True, status=Status.CONNECTED)
    bench.to(70)
    assert bench.view == View(available=False, status=Status.NO_CONNECTION)


def test_network_loss_is_on_unavailable_on_and_never_off(bench: Bench) -> None:
    """The terminal never shows off while only our own link was broken."""
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
    """One eye is enough."""
    pair.down("a")
    pair.live(190, "b")
    assert pair.terminal is True


def test_loss_of_the_zone_where_it_was_up_blinds_us() -> None:
    """A zone that does not have the account is no eye."""
    bench = Bench("a", "b")
    bench.come_up("a")
    bench.up("b")
    bench.answer(TerminalTimeoutError("elsewhere"), "b")
    bench.down("a")
    bench.to(61)
    assert bench.terminal == "unavailable"


def test_unavailable_stays_until_the_round_decides(bench: Bench) -> None:
    """The socket alone does not make us see again."""
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
    """An outage during a gap of ours is not missed."""
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
    """Only `authenticated` confirms what an earlier socket showed."""
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
    """A refused subscribe leaves us without eyes; the status says why."""
    bench.up()
    bench.answer(error)
    assert bench.view == View(available=False, status=status)


def test_a_refusal_in_one_zone_does_not_blind_the_other() -> None:
    """An account that one zone does not know can be on in the other."""
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
    """NotFound in a zone that never had the account does not keep us from deciding."""
    bench = Bench("a", "b")
    bench.away = {"a"}
    bench.up("a")
    bench.up("b")
    bench.answer(NotFoundError("not here"), "b")
    bench.to(61)
    assert bench.terminal is False


def test_unavailable_when_the_token_is_refused(bench: Bench) -> None:
    """Nothing is known with a refused token, and nothing asked."""
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
    """All goes on by itself."""
    bench.come_up()
    bench.machine.token_refused(1)
    bench.down()
    bench.to(400)
    bench.machine.token_accepted(400)
    assert bench.view == View(available=False, status=Status.NO_CONNECTION)
    bench.come_up(session="s2")
    assert bench.terminal is True


def test_a_token_that_is_taken_again_lifts_the_floor(bench: Bench) -> None:
    """What a socket said of it was a mistake."""
    bench.up()
    bench.answer(UnauthorizedError("you"))
    bench.to(10)
    assert bench.subscribes() == [0]
    bench.machine.token_accepted(10)
    bench.to(10)
    assert bench.subscribes() == [0, 10]


def test_unavailable_when_the_account_is_gone_upstream(bench: Bench) -> None:
    """A deleted account is out of sight, and nobody subscribes to it."""
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
    """Nothing is claimed at start."""
    assert bench.view == View(terminal=None, status=Status.UNKNOWN)
    bench.up()
    assert bench.terminal is None


def test_unknown_for_ninety_seconds_at_most(bench: Bench) -> None:
    """What cannot be decided by then is out of sight."""
    bench.to(50)
    bench.up()
    bench.answer(InternalError("fault"))
    bench.to(89.9)
    assert bench.terminal is None
    bench.to(90)
    assert bench.view == View(available=False, status=Status.NO_ANSWER)


def test_unknown_becomes_unavailable_when_no_socket_ever_opens(bench: Bench) -> None:
    """Without any socket it takes 60 s."""
    bench.to(60)
    assert bench.view == View(available=False, status=Status.NO_CONNECTION)


# -- broker --------------------------------------------------------------------------------------


def test_broker_is_unknown_while_the_terminal_is_not_on(bench: Bench) -> None:
    """The broker is only seen through a terminal that is on."""
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
    """Two hosts, one with a broker."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.status(ONE, connected=False)
    bench.status(TWO, connected=True)
    assert bench.state.broker is True


# -- reconnect -----------------------------------------------------------------------------------


def test_nothing_subscribes_between_a_reconnect_and_its_outcome(bench: Bench) -> None:
    """An `authenticated` that we provoked would prove no reconnect."""
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
    """Nothing happened, so nothing is shown."""
    bench.come_up()
    bench.machine.reconnect_sent(1)
    bench.machine.reconnect_ended(2, authenticated=False)
    assert bench.view == View(terminal=True, status=Status.CONNECTED)


def test_a_reconnect_that_succeeded_elsewhere_renews_the_subscription(
    bench: Bench,
) -> None:
    """The seed page's extra socket goes away; ours must hear of the terminal."""
    bench.come_up()
    bench.machine.reconnect_sent(1)
    bench.machine.reconnect_accepted(1)
    bench.authenticated(ANY, None)
    bench.machine.reconnect_ended(2, authenticated=True, elsewhere=True)
    bench.to(2)
    assert bench.subscribes() == [0, 2]


def test_a_reconnect_does_not_break_the_floor_of_a_refusal(bench: Bench) -> None:
    """However often a person asks, what is refused is not asked more than 12 times an hour."""
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


def test_news_of_the_broker_by_part_of_a_name() -> None:
    """A `status` that names only the host is of the terminal that is known in full."""
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
    """As after a `disconnected`, three seconds."""
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
