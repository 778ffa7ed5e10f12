"""Test how MetaApi really answers: temporary refusals, mute zones, a broker that is away, rare `status`.

No answer of a server is final, no wait is endless, and the terminal never shows off for just a moment.
"""

from api.errors import (
    ForbiddenError,
    InternalError,
    MetaApiError,
    NoResponseError,
    NotAuthenticatedError,
    NotFoundError,
    TooManyRequestsError,
    from_name,
)
from api.model import Status
from api.terminal.rules import SUBSCRIBE
import pytest

from .bench import AWAY, BAD, NONE_DEPLOYED, ONE, QUOTA, TWO, Bench, View

NOBODY_DEPLOYED = from_name(
    "ValidationError",
    "It seems like you are trying to subscribe to an account, however you have no accounts deployed yet.",
    {},
)
NEVER = View(terminal=False, status=Status.NEVER_AUTHENTICATED)
NO_ANSWER = View(available=False, status=Status.NO_ANSWER)
BROKER_AWAY = "DISCONNECTED_FROM_BROKER"


@pytest.fixture
def zones() -> Bench:
    """Return a terminal in the two zones of a region, with both sockets just opened."""
    bench = Bench("a", "b")
    bench.up("a", "s1")
    bench.up("b", "s2")
    return bench


def steady(bench: Bench, until: float, step: float = 10.0) -> set[bool | str | None]:
    """Advance the clock while zone a sends `status`; return everything that was shown."""
    shown = {bench.terminal}
    while bench.now < until:
        bench.to(min(bench.now + step, until))
        shown.add(bench.terminal)
        bench.status(connected=None)
    return shown


# -- none of the user's accounts is deployed -------------------------------------------------------


def test_nobody_deployed_asks_rest_at_once(bench: Bench) -> None:
    """When no account is deployed, REST is asked at once and gives the reason."""
    bench.up()
    bench.answer(NOBODY_DEPLOYED)
    assert bench.questions() == [0]
    bench.facts(deployed=False)
    assert bench.view == View(terminal=False, status=Status.NOT_DEPLOYED)
    assert bench.machine.deployed is False


@pytest.mark.parametrize(
    ("connection", "state"),
    [(None, NEVER), ("DISCONNECTED", NEVER), ("CONNECTED", NO_ANSWER)],
)
def test_nobody_deployed_for_a_round(
    bench: Bench, connection: str | None, state: View
) -> None:
    """After a round the account was never authenticated, unless REST says it is connected: then it is out of sight."""
    bench.up()
    bench.answer(NOBODY_DEPLOYED)
    if connection:
        bench.to(1)
        bench.connection(connection)
        bench.answer(NOBODY_DEPLOYED)
    bench.to(59.9)
    assert bench.terminal is None
    bench.to(60)
    assert bench.view == state
    assert bench.machine.deployed is (True if connection else None)


def test_a_deploy_is_seen_within_a_floor(bench: Bench) -> None:
    """A deployment lifts the floor, and for three minutes a server that does not know of it yet is asked often."""
    bench.facts(deployed=True, connection="CONNECTED")
    bench.to(1000)
    bench.up()
    bench.answer(NOBODY_DEPLOYED)
    bench.facts(deployed=False)
    bench.to(3610)
    assert bench.subscribes() == [1000]
    bench.facts(deployed=True)
    for pause in (0, 3, 6, 12, 24, 48, 96):
        bench.to(bench.now + pause)
        assert bench.subscribes()[-1] == bench.now
        bench.answer(NOBODY_DEPLOYED)
    bench.to(bench.now + 299)
    assert bench.subscribes()[-1] == 3799
    bench.to(bench.now + 1)
    assert bench.subscribes()[-1] == bench.now
    bench.answer()
    bench.authenticated()
    assert bench.terminal is True


def test_a_flapping_deployment_causes_few_subscribes(bench: Bench) -> None:
    """The three minutes after a deployment are granted only once an hour."""
    bench.up()
    subscription = bench.machine._places["a"].subscription
    while bench.now < 7200:
        bench.facts(deployed=False)
        bench.facts(deployed=True)
        if subscription.in_flight:
            bench.answer(NOBODY_DEPLOYED)
        bench.to(bench.now + 10)
    asked = bench.subscribes()
    assert len([when for when in asked if when < 3600]) <= 35
    assert asked[-1] > 6900


def test_a_bad_request_is_no_evidence(bench: Bench) -> None:
    """A `ValidationError` with `details` is our own fault: out of sight, and retried after the floor."""
    bench.up()
    bench.answer(BAD)
    assert bench.view == NO_ANSWER
    bench.to(300)
    assert bench.subscribes() == [0, 300]


# -- refusals that pass ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ForbiddenError("no"), NotFoundError("who"), NOBODY_DEPLOYED]
)
def test_a_refusal_that_passes_is_over_after_the_floor(
    bench: Bench, error: MetaApiError
) -> None:
    """A temporary refusal ends with the next accepted subscribe, on the same socket and without REST."""
    bench.up()
    bench.answer(error)
    bench.to(300)
    assert bench.subscribes() == [0, 300]
    bench.answer()
    bench.authenticated()
    assert bench.view == View(terminal=True, status=Status.CONNECTED)


@pytest.mark.parametrize("cls", SUBSCRIBE)
def test_every_answer_can_be_temporary(bench: Bench, cls: type[MetaApiError]) -> None:
    """After a minute of any answer, the next subscribe comes within 300 s and can turn the terminal on."""
    error = cls("because")
    bench.up()
    while bench.now < 60:
        if bench.subscribes()[-1] == bench.now:
            bench.answer(error)
        bench.to(bench.now + 1)
    sent = bench.subscribes()[-1]
    while bench.subscribes()[-1] == sent:
        bench.to(bench.now + 1)
        assert bench.now <= 300
    bench.answer()
    bench.authenticated()
    assert bench.terminal is True
    bench.to(bench.now + 59)
    assert bench.terminal is True


@pytest.mark.parametrize(
    "error", [ForbiddenError("no"), NotFoundError("who"), NONE_DEPLOYED, QUOTA]
)
def test_a_permanent_refusal_costs_little(bench: Bench, error: MetaApiError) -> None:
    """A permanent refusal causes at most 25 subscribes in the first hour and 12 in each later one."""
    bench.up()
    while bench.now < 3 * 3600:
        if bench.subscribes()[-1] == bench.now:
            bench.answer(error, retry_after=1)
        bench.status()
        bench.to(bench.now + 5)
        if bench.now % 600 == 0:
            bench.connection("CONNECTED")
    asked = bench.subscribes()
    hours = [
        len([when for when in asked if hour * 3600 <= when < (hour + 1) * 3600])
        for hour in range(3)
    ]
    assert hours[0] <= 25
    assert max(hours[1:]) <= 12


@pytest.mark.parametrize("news", ["deployed", "connected"])
def test_news_lift_a_floor_once_an_hour(bench: Bench, news: str) -> None:
    """News from REST lifts the floor only once an hour; the skipped time is added to the next floor."""
    bench.facts(deployed=news != "deployed" or None, connection="DISCONNECTED")
    bench.up()
    bench.answer(ForbiddenError("no"))
    bench.to(100)
    bench.facts(deployed=True, connection="CONNECTED")
    assert bench.subscribes() == [0, 100]
    bench.answer(ForbiddenError("no"))
    bench.facts(deployed=None, connection="DISCONNECTED")
    bench.facts(deployed=True, connection="CONNECTED")
    bench.to(599)
    assert bench.subscribes() == [0, 100]
    bench.to(600)
    assert bench.subscribes() == [0, 100, 600]


def test_a_rate_limit_is_a_matter_of_seconds(bench: Bench) -> None:
    """A 429 without a type delays the subscribe by seconds, and a terminal that is on stays on."""
    bench.come_up()
    bench.renew()
    bench.answer(TooManyRequestsError("slow down"), retry_after=1)
    bench.to(3)
    assert bench.subscribes()[-1] in (1, 2, 3)
    assert bench.view == View(terminal=True, status=Status.CONNECTED)
    bench.answer()
    bench.authenticated(session="s2")
    assert bench.terminal is True


def test_a_slot_that_is_freed_is_taken_within_a_minute(bench: Bench) -> None:
    """After a quota refusal that recommends two seconds, the retry comes after a minute."""
    bench.up()
    bench.answer(QUOTA, retry_after=2)
    assert bench.state.status is Status.QUOTA_EXHAUSTED
    bench.to(65)
    assert bench.subscribes() == [0, 60]


# -- zones that are mute ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answered", "connection", "state"),
    [
        ([], "DISCONNECTED", NEVER),
        ([], "CONNECTED", NO_ANSWER),
        ([], BROKER_AWAY, NO_ANSWER),
        (["a"], "DISCONNECTED", NEVER),
        (["a"], "CONNECTED", NO_ANSWER),
        (["a"], None, NEVER),
    ],
)
def test_mute_zones_let_rest_decide(
    zones: Bench, answered: list[str], connection: str | None, state: View
) -> None:
    """REST decides if subscribes are unanswered in both zones, or in one while the other answers `TimeoutError`."""
    zones.away = {*answered}
    for zone in answered:
        zones.answer(AWAY, zone)
    zones.to(31)
    assert len(zones.questions()) == 1
    if connection:
        zones.connection(connection)
    zones.to(59.9)
    assert zones.terminal is None
    zones.to(60)
    assert (zones.state.available, zones.state.terminal, zones.state.status) == (
        state.available,
        state.terminal,
        state.status,
    )


def test_mute_zones_without_rest_are_out_of_sight(zones: Bench) -> None:
    """Without REST, mute zones are out of sight after 90 s; REST is asked every five minutes and still counts then."""
    zones.to(89.9)
    assert zones.terminal is None
    zones.to(90)
    assert zones.view == NO_ANSWER
    zones.to(400)
    assert zones.questions() == [30, 330]
    zones.connection("DISCONNECTED")
    assert zones.view == NEVER


def test_an_old_word_of_rest_decides_nothing(zones: Bench) -> None:
    """A REST read that began before the round does not decide it."""
    zones.to(40)
    zones.facts(deployed=True, connection="DISCONNECTED", read_since=-1.0)
    zones.to(89)
    assert zones.terminal is None


def test_subscribes_that_time_out_are_no_answers(bench: Bench) -> None:
    """A subscribe that we give up on neither restarts a round nor counts as evidence."""
    bench.up()
    bench.to(59)
    bench.answer(NoResponseError("none"))
    bench.connection("DISCONNECTED")
    bench.to(60)
    assert bench.view == NEVER


def test_not_authenticated_is_an_answer(bench: Bench) -> None:
    """A `NotAuthenticatedError` is an answer, so the round can turn the terminal off."""
    bench.up()
    bench.answer(NotAuthenticatedError("early"))
    bench.to(60)
    assert bench.terminal is False


def test_a_zone_that_hangs_is_no_evidence_about_what_it_had(zones: Bench) -> None:
    """A terminal stays on if its zone leaves one subscribe open after a new socket and the other answers `TimeoutError`."""
    zones.answer(AWAY, "b")
    zones.away = {"b"}
    zones.answer(zone="a")
    zones.authenticated(zone="a")
    steady(zones, 600)
    zones.renew("s3", "a")
    shown = set()
    for second in range(600, 661):
        zones.to(second)
        shown.add(zones.terminal)
    zones.answer(NoResponseError("none"), "a")
    zones.to(663)
    zones.answer(zone="a")
    zones.authenticated(zone="a", session="s3")
    shown.add(zones.terminal)
    assert shown == {True}


def test_a_zone_that_hangs_for_ever_is_out_of_sight(zones: Bench) -> None:
    """A terminal becomes unavailable after two minutes if its zone never answers on the new socket."""
    zones.answer(AWAY, "b")
    zones.away = {"b"}
    zones.answer(zone="a")
    zones.authenticated(zone="a")
    steady(zones, 600)
    zones.renew("s3", "a")
    zones.to(719)
    assert zones.terminal is True
    zones.to(720)
    assert not zones.state.available
    assert zones.state.status is Status.NO_ANSWER


@pytest.mark.parametrize(
    ("connection", "terminal"), [("CONNECTED", "unavailable"), ("DISCONNECTED", False)]
)
def test_rest_decides_about_a_zone_that_hangs(
    bench: Bench, connection: str, terminal: bool | str
) -> None:
    """If a zone does not answer for half of a round, REST is asked and decides at its end."""
    bench.come_up()
    bench.renew()
    bench.to(30)
    assert bench.questions() == [30]
    bench.connection(connection)
    bench.to(59.9)
    assert bench.terminal is True
    bench.to(60)
    assert bench.terminal == terminal


def test_another_zone_that_answers_faults_abstains(zones: Bench) -> None:
    """A zone that answers only errors does not keep the other from turning the terminal off."""
    zones.away = {"a"}
    zones.answer(AWAY, "a")
    while zones.now < 60:
        if zones.subscribes("b")[-1] == zones.now:
            zones.answer(InternalError("fault"), "b")
        zones.to(zones.now + 1)
    zones.to(62)
    assert zones.terminal is False


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ForbiddenError("no"), None),
        (QUOTA, None),
        (NotFoundError("who"), False),
        (BAD, False),
    ],
)
def test_which_refusals_prevent_a_decision(
    zones: Bench, error: MetaApiError, state: bool | None
) -> None:
    """A quota or `ForbiddenError` in one zone keeps the other from deciding, as the account may run there."""
    zones.away = {"a"}
    zones.answer(AWAY, "a")
    zones.answer(error, "b", retry_after=400)
    zones.to(80)
    assert zones.terminal is state


def test_the_global_url_gives_no_evidence(bench: Bench) -> None:
    """While the region is unknown, answers are not evidence, as it may be the wrong region."""
    bench.machine.set_places(["a"], 0.0, region_known=False)
    bench.away = {"a"}
    bench.up()
    bench.to(89)
    assert bench.terminal is None
    bench.to(300)
    assert bench.state.status is Status.NO_ANSWER
    bench.machine.set_places(["a"], 300.0)
    bench.to(315)
    assert bench.terminal is False


# -- the broker is away ----------------------------------------------------------------------------


def test_a_weekend_is_no_outage(bench: Bench) -> None:
    """The terminal stays on over a weekend of `TimeoutError` while REST says that the broker is away."""
    bench.come_up()
    bench.status(connected=False)
    bench.to(10)
    bench.away = {"a"}
    bench.renew()
    assert bench.questions() == [10]
    bench.connection(BROKER_AWAY)
    away = (True, False, Status.BROKER_DISCONNECTED)
    while bench.now < 48 * 3600:
        bench.to(bench.now + 60)
        state = bench.state
        assert (state.terminal, state.broker, state.status) == away
        if bench.questions()[-1] > bench.now - 60:
            bench.connection(BROKER_AWAY)
    gaps = {
        b - a for a, b in zip(bench.questions(), bench.questions()[1:], strict=False)
    }
    assert gaps <= {300.0, 360.0}
    bench.authenticated(session="s2")
    bench.status(connected=True)
    assert bench.view == View(terminal=True, broker=True, status=Status.CONNECTED)


@pytest.mark.parametrize(
    ("says", "terminal"), [("DISCONNECTED", False), ("CONNECTED", False), (None, False)]
)
def test_a_weekend_ends_with_what_rest_says(
    bench: Bench, says: str | None, terminal: bool
) -> None:
    """The terminal turns off if REST says otherwise, or has not repeated it for ten minutes."""
    bench.come_up()
    bench.away = {"a"}
    bench.renew()
    bench.connection(BROKER_AWAY)
    bench.to(400)
    assert bench.terminal is True
    if says:
        bench.connection(says)
    bench.to(700)
    assert bench.terminal is terminal
    assert bench.state.status is Status.DISCONNECTED


def test_a_broker_that_is_away_from_the_start(bench: Bench) -> None:
    """A terminal that was never on is off because of its broker, until REST says otherwise."""
    bench.away = {"a"}
    bench.up()
    bench.connection(BROKER_AWAY)
    bench.to(60)
    assert bench.terminal is False
    assert bench.state.status is Status.BROKER_DISCONNECTED
    bench.connection("DISCONNECTED")
    assert bench.state.status is Status.NEVER_AUTHENTICATED


def test_a_broker_that_is_away_after_we_were_blind(bench: Bench) -> None:
    """A terminal that was out of sight does not turn on again without an `authenticated`."""
    bench.come_up()
    bench.down()
    bench.to(100)
    assert bench.terminal == "unavailable"
    bench.away = {"a"}
    bench.up(session="s2")
    bench.connection(BROKER_AWAY)
    bench.to(160)
    assert bench.terminal is False
    assert bench.state.status is Status.BROKER_DISCONNECTED


def test_a_terminal_that_disconnected_is_off_whatever_the_broker_does(
    bench: Bench,
) -> None:
    """A `disconnected` turns the terminal off even while REST says that the broker is away."""
    bench.come_up()
    bench.connection(BROKER_AWAY)
    bench.disconnected()
    assert bench.view == View(terminal=False, status=Status.DISCONNECTED)


# -- silence ---------------------------------------------------------------------------------------


def test_rare_status_is_no_outage(bench: Bench) -> None:
    """A terminal with a `status` every 61 s stays on for a day if subscribes bring `authenticated`."""
    bench.come_up()
    while bench.now < 86400:
        before = len(bench.subscribes())
        bench.to(bench.now + 61)
        if len(bench.subscribes()) > before:
            bench.answer()
            bench.authenticated()
        assert bench.terminal is True
        bench.status()
    assert len(bench.subscribes()) <= 3


@pytest.mark.parametrize("lasts", [30.0, 120.0, 300.0])
def test_subscriptions_that_are_dropped_are_no_outage(
    bench: Bench, lasts: float
) -> None:
    """Subscriptions that end silently do not turn the terminal off; a real loss still does within 107 s."""
    bench.up()
    served = -1.0
    asked = 0
    while bench.now < 6 * 3600:
        if len(bench.subscribes()) > asked:
            asked = len(bench.subscribes())
            served = bench.now + lasts
            bench.answer()
            bench.authenticated()
        if bench.now <= served and bench.now % 10 == 0:
            bench.status()
        bench.to(bench.now + 1)
        assert bench.terminal is True
    assert asked <= 6 * 41
    bench.authenticated()
    lost = bench.now
    bench.away = {"a"}
    while bench.terminal is True:
        bench.to(bench.now + 1)
        assert bench.now <= lost + 107
    assert bench.state.status is Status.SILENT


def test_the_silence_limit_is_extended_once(bench: Bench) -> None:
    """After a refuted silence the limit is 90 s for the rest of the run, also for later hosts and zones."""
    bench.come_up()
    for refuted in (60, 150, 240):
        bench.to(refuted)
        assert bench.probes()[-1] == refuted
        bench.authenticated()
        bench.answer()
    bench.machine.set_places(["a", "b"], 240.0)
    bench.come_up("b", "s2")
    bench.machine.set_places(["b"], 240.0)
    bench.to(329)
    assert bench.probes()[-1] == 240
    bench.to(339)
    assert bench.state.status is Status.SILENT


def test_a_silent_terminal_is_looked_for_everywhere(zones: Bench) -> None:
    """A silent terminal triggers one subscribe in every zone, and stays on if another zone shows it."""
    zones.answer(zone="a")
    zones.authenticated(zone="a")
    zones.away = {"b"}
    zones.answer(AWAY, "b")
    steady(zones, 600)
    planned = zones.subscribes("b")
    zones.away = set()
    zones.to(660)
    assert zones.subscribes("a")[-1] == 660
    assert zones.subscribes("b") == [*planned, 660]
    zones.answer(zone="b")
    zones.authenticated(TWO, zone="b", session="s2")
    zones.to(669)
    assert zones.terminal is True
    assert zones.machine.up_places == ["b"]


def test_silence_waits_for_the_end_of_a_reconnect(bench: Bench) -> None:
    """Silence is judged only after a running reconnect, because no subscribe can be sent during it."""
    bench.come_up()
    bench.to(50)
    bench.machine.reconnect_sent(50)
    bench.to(100)
    assert bench.terminal is True
    bench.machine.reconnect_ended(100, authenticated=False)
    bench._collect()
    assert bench.subscribes() == [0, 100]
    bench.to(108.9)
    assert bench.terminal is True
    bench.to(109)
    assert bench.terminal is False


# -- the only terminal -----------------------------------------------------------------------------


def only(zones: Bench) -> Bench:
    """Put the account's only terminal in zone a."""
    zones.answer(AWAY, "b")
    zones.answer(zone="a")
    zones.machine.authenticated("a", ONE, "s1", 0.0, alone=True)
    zones._collect()
    return zones


def test_the_only_terminal_ends_the_other_zones_subscribes(zones: Bench) -> None:
    """With `replicas` 1 the other zone is not asked while the terminal is on."""
    only(zones)
    assert steady(zones, 900) == {True}
    assert zones.subscribes("b") == [0]
    assert zones.machine.diagnostics(900)["b"]["next_subscribe_in"] is None


def test_high_reliability_runs_two_terminals(zones: Bench) -> None:
    """With high reliability the other zone is still asked, whatever `replicas` says."""
    zones.facts(deployed=True, high_reliability=True)
    only(zones)
    steady(zones, 10)
    assert zones.subscribes("b") == [0, 3]


def test_high_reliability_may_be_told_later(zones: Bench) -> None:
    """The other zone is asked as soon as REST reports high reliability."""
    only(zones)
    steady(zones, 10)
    zones.facts(deployed=True, high_reliability=True)
    assert zones.subscribes("b") == [0, 10]


@pytest.mark.parametrize("lost", ["socket", "terminal", "silence"])
def test_a_terminal_that_moved_is_found(zones: Bench, lost: str) -> None:
    """When zone a loses the only terminal, zone b is asked at once and shows it."""
    only(zones)
    steady(zones, 100)
    if lost == "socket":
        zones.down("a")
    elif lost == "terminal":
        zones.disconnected(zone="a")
    else:
        zones.to(160)
    assert zones.subscribes("b") == [0, zones.now]
    zones.answer(zone="b")
    zones.machine.authenticated("b", TWO, "s2", zones.now, alone=True)
    zones._collect()
    assert zones.terminal is True
    zones.up("a", "s3") if lost == "socket" else None
    asked = zones.subscribes("a")
    zones.answer(AWAY, "a")
    zones.to(zones.now + 30)
    assert zones.subscribes("a") == asked


def test_the_place_of_the_only_terminal_keeps_its_pause(zones: Bench) -> None:
    """After `disconnected` the zone of the only terminal is asked after 3 s, as many accounts may drop together."""
    only(zones)
    steady(zones, 100)
    zones.disconnected(zone="a")
    zones.to(102.9)
    assert zones.subscribes("a") == [0]
    zones.to(103)
    assert zones.subscribes("a") == [0, 103]


def test_a_second_terminal_makes_the_other_zone_be_asked(zones: Bench) -> None:
    """The other zone is asked again once MetaApi no longer reports a single terminal."""
    only(zones)
    zones.to(10)
    zones.authenticated(zone="a")
    assert zones.subscribes("b") == [0, 10]


def test_the_only_terminal_of_one_id_says_nothing_of_another() -> None:
    """A replica in another region has its own id and terminals, so it is still asked."""
    bench = Bench("a", "b", "replica")
    bench.machine._asker.id_of = lambda place: place == "replica"
    for zone in ("a", "b", "replica"):
        bench.up(zone, "s1")
    only(bench)
    bench.answer(AWAY, "replica")
    bench.to(10)
    assert bench.subscribes("b") == [0]
    assert bench.subscribes("replica") == [0, 3]


# -- queued input before the clock -----------------------------------------------------------------


def test_what_lies_in_the_socket_is_read_before_the_clock_judges(bench: Bench) -> None:
    """After the event loop stalled, a queued `authenticated` is read before the terminal is judged."""
    bench.come_up()
    bench.renew()
    bench.answer()
    bench.pongs = False
    bench.now = 120.0
    bench.machine.tick(120.0)
    bench._collect()
    assert bench.probes() == [120]
    assert bench.terminal is True
    bench.authenticated(session="s2")
    bench.pong()
    assert bench.terminal is True


def test_a_round_is_judged_after_the_pong(bench: Bench) -> None:
    """A round is decided only after a pong whose ping was sent after its end, so queued events count."""
    bench.up()
    bench.answer()
    bench.pongs = False
    bench.to(80)
    assert bench.terminal is None
    bench.pong(sent_at=59)
    assert bench.terminal is None
    bench.pong(sent_at=60)
    assert bench.terminal is False


def test_an_on_that_nobody_shows_is_given_up_after_the_pong(bench: Bench) -> None:
    """An unconfirmed terminal becomes unavailable only after a pong, too."""
    bench.come_up()
    bench.renew()
    bench.answer(InternalError("fault"))
    bench.pongs = False
    bench.to(130)
    assert bench.terminal is True
    bench.pong()
    assert bench.view == NO_ANSWER


def test_a_stall_makes_no_terminal_suspect(bench: Bench) -> None:
    """A `status` that was queued during a stall counts, and does not count as a refuted silence."""
    bench.come_up()
    bench.pongs = False
    bench.now = 120.0
    bench.machine.tick(120.0)
    bench._collect()
    bench.status()
    bench.pong()
    bench.to(180)
    assert bench.subscribes() == [0]
    assert bench.probes() == [120, 180]


def test_a_pong_that_never_comes_judges_nothing(bench: Bench) -> None:
    """Without a pong nothing is judged; the terminal becomes unavailable once the socket is lost."""
    bench.come_up()
    bench.renew()
    bench.answer()
    bench.pongs = False
    bench.to(400)
    assert bench.terminal is True
    bench.down()
    bench.to(461)
    assert bench.view == View(available=False, status=Status.NO_CONNECTION)


# -- sessions --------------------------------------------------------------------------------------


def test_an_authenticated_that_is_early_waits_for_its_socket(bench: Bench) -> None:
    """An `authenticated` before its socket is known counts if it is of our session; otherwise it triggers a subscribe."""
    assert not bench.authenticated(session="s1")
    assert bench.terminal is None
    bench.up()
    assert bench.terminal is True
    bench.down()
    bench.to(10)
    assert not bench.authenticated(session="s1")
    bench.up(session="s2")
    bench.answer()
    bench.to(11)
    assert bench.machine.up is False
    assert bench.subscribes() == [0, 10]


def test_an_early_authenticated_that_is_taken_back(bench: Bench) -> None:
    """An early `authenticated` does not count if `disconnected` follows before the socket opens."""
    bench.authenticated(session="s1")
    bench.disconnected()
    bench.up()
    assert bench.terminal is None


def test_at_most_sixteen_early_events_are_kept(bench: Bench) -> None:
    """At most 16 early events are kept, so a server cannot exhaust the memory."""
    for number in range(100):
        bench.authenticated((0, f"ps-{number}"), session="s1")
    assert len(bench.machine._places["a"].sight.early) <= 16
    bench.up()
    assert bench.terminal is True


def test_a_terminal_that_was_ours_is_asked_for_though_a_subscribe_hangs(
    bench: Bench,
) -> None:
    """A `status` of a known terminal triggers one more subscribe, which replaces the unanswered one."""
    bench.come_up()
    bench.renew()
    bench.to(2)
    bench.status()
    assert bench.subscribes() == [0, 0, 2]
    bench.to(30)
    bench.status()
    assert bench.subscribes() == [0, 0, 2]
    bench.answer()
    bench.authenticated(session="s2")
    assert bench.terminal is True


def test_no_event_pierces_a_floor_or_a_reconnect(bench: Bench) -> None:
    """No event triggers a subscribe during a floor or a reconnect."""
    bench.up()
    bench.answer(ForbiddenError("no"))
    bench.to(10)
    bench.status()
    bench.authenticated(session="foreign")
    bench.to(299)
    assert bench.subscribes() == [0]
    bench.to(300)
    bench.answer()
    bench.machine.reconnect_sent(301)
    bench.to(302)
    bench.status()
    bench.authenticated(session="foreign")
    bench.to(310)
    assert bench.subscribes() == [0, 300]


# -- reads of REST ---------------------------------------------------------------------------------


def test_a_read_that_is_older_than_a_sign_of_life_denies_nothing(bench: Bench) -> None:
    """A listing that began before an `authenticated` does not turn the terminal off."""
    bench.up()
    bench.answer()
    bench.to(10)
    bench.authenticated()
    bench.to(11)
    bench.facts(deployed=False, read_since=9.0)
    assert bench.terminal is True
    assert bench.machine.deployed is None
    bench.to(70)
    assert bench.questions() == []
    bench.to(71)
    assert bench.questions() == [71]
    bench.facts(deployed=False, read_since=71.0)
    assert bench.view == View(terminal=False, status=Status.NOT_DEPLOYED)


@pytest.mark.parametrize("sign", ["status", "unchanged", "foreign", "before"])
def test_which_signs_outdate_a_read(bench: Bench, sign: str) -> None:
    """Each `status` and `authenticated` outdates an earlier read, even that of a host that has gone since."""
    bench.come_up()
    bench.to(5)
    bench.status()
    bench.to(10)
    if sign == "foreign":
        bench.authenticated(session="foreign")
    elif sign == "status":
        bench.status(connected=False)
        bench.disconnected()
        bench.authenticated()
        bench.disconnected()
    elif sign == "unchanged":
        bench.status()
    bench.to(11)
    bench.facts(deployed=False, read_since=9.0)
    assert (bench.machine.deployed is None) is (sign != "before")


def test_an_account_that_is_gone_by_an_old_read_is_not(bench: Bench) -> None:
    """A 404 from a read that began before the last `status` does not count."""
    bench.come_up()
    bench.to(1)
    bench.status()
    bench.facts(exists=False, read_since=0.5)
    assert bench.terminal is True
    bench.facts(exists=False, read_since=1.0)
    assert bench.state.status is Status.NOT_FOUND


# -- reconnect -------------------------------------------------------------------------------------


def test_a_reconnect_takes_down_where_it_went(pair: Bench) -> None:
    """A reconnect in one zone leaves the terminal in the other zone on."""
    pair.machine.reconnect_sent(0)
    pair.machine.reconnect_accepted(0, ["a"])
    pair.status(zone="b")
    assert pair.terminal is True
    assert pair.machine.up_places == ["b"]
    pair.machine.reconnect_ended(0, authenticated=False)
    assert pair.terminal is True
    pair.to(0)
    pair.to(1)
    assert pair.subscribes("a") == [0, 1]
    pair.machine.reconnect_sent(1)
    pair.machine.reconnect_accepted(1)
    assert pair.view == View(terminal=False, status=Status.RECONNECTING)


def test_only_hosts_that_showed_themselves_since_outlive_a_reconnect(
    bench: Bench,
) -> None:
    """Only hosts that authenticated after the request remain after a reconnect, even before its response."""
    bench.come_up()
    bench.authenticated(TWO)
    bench.machine.reconnect_sent(1)
    bench.authenticated(TWO)
    bench.machine.reconnect_accepted(1, ["a"])
    assert bench.machine._places["a"].sight.hosts.keys() == {TWO}
    assert bench.terminal is True


def test_subscribe_just_before_a_reconnect(bench: Bench) -> None:
    """An extra subscribe precedes a reconnect only without a subscription, and only if nothing holds it back."""
    assert not bench.machine.subscribe_now("a", 0)
    bench.up()
    assert not bench.machine.subscribe_now("a", 0), "in flight"
    bench.answer(InternalError("fault"))
    assert not bench.machine.subscribed("a")
    assert not bench.machine.subscribe_now("a", 0.5), "less than a second apart"
    bench.to(1)
    assert bench.machine.subscribe_now("a", 1)
    bench.machine.reconnect_sent(1)
    bench._collect()
    assert bench.subscribes() == [0, 1]
    bench.answer()
    assert bench.machine.subscribed("a")
    assert not bench.machine.subscribe_now("a", 3), "reconnecting"
    bench.to(20)
    assert bench.subscribes() == [0, 1]
    bench.machine.reconnect_ended(20, authenticated=False)
    bench._collect()
    bench.answer(ForbiddenError("no"))
    assert not bench.machine.subscribe_now("a", 30), "a floor"
    bench.to(319)
    assert bench.subscribes() == [0, 1, 20]
    bench.to(320)
    assert bench.subscribes() == [0, 1, 20, 320]


# -- hours of faults -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [InternalError("fault"), TooManyRequestsError("slow down")]
)
def test_hours_of_faults_are_out_of_sight(bench: Bench, error: MetaApiError) -> None:
    """During hours of errors the terminal becomes unavailable after 120 s and never shows off."""
    bench.come_up()
    bench.renew()
    bench.answer(error)
    shown = []
    while bench.now < 4 * 3600:
        if bench.subscribes()[-1] == bench.now:
            bench.answer(error)
        bench.to(bench.now + 1)
        shown.append(bench.terminal)
    assert shown[:119] == [True] * 119
    assert set(shown[119:]) == {"unavailable"}
    assert bench.state.status is Status.NO_ANSWER
