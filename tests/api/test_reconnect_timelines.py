"""Reconnects as MetaApi really answers them, second by second."""

import asyncio

from api.model import Outcome
import pytest

from .loopback import eventually
from .scripted import ACCOUNT, Script, accept, ignore, later, refuse, scripted


async def until(script: Script, when: float) -> None:
    """Let the script go on until a moment."""
    await asyncio.sleep(when - script.now)


async def well(script: Script) -> None:
    """Watch the account, whose terminal shows itself in zone a, for two seconds."""
    script.add()
    script.at(1.0, script.show, "a", "authenticated", replicas=2)
    await until(script, 2.0)


@pytest.mark.parametrize("seconds_before", [0.5, 20.0])
async def test_leaves_at_once_though_a_subscribe_is_unanswered(
    seconds_before: float,
) -> None:
    """A zone where the account does not run may keep us waiting for a minute."""
    async with scripted() as script:
        script.answers["b", "subscribe"] = ignore
        script.answers["a", "reconnect"] = accept
        script.add()
        script.at(1.0, script.show, "a", "authenticated")
        await until(script, 2.0 + seconds_before)
        pressed = script.now
        script.at(pressed + 2, script.show, "a", "disconnected")
        script.at(pressed + 5, script.show, "a", "authenticated")
        result = await script.reconnect()
        ((zone, when),) = script.asked("reconnect")
        assert zone == "a"
        assert when - pressed < 1
        assert result.outcome is Outcome.AUTHENTICATED
        assert result.seconds == pytest.approx(5, abs=0.1)


async def test_a_late_response_is_waited_for_where_something_moved() -> None:
    """Accepted after 25 s, behind a `disconnected`; the second form would be refused."""
    async with scripted() as script:
        await well(script)
        script.answers["a", "reconnect"] = later(25, accept)
        script.answers["global", "reconnect"] = refuse("ValidationError")
        script.at(4, script.show, "a", "disconnected")
        script.at(40, script.show, "a", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.asked("reconnect") == [("a", 2.0)]


async def test_something_that_moved_holds_the_second_form_back() -> None:
    """No response at all, but the terminal went: it was taken."""
    async with scripted() as script:
        await well(script)
        script.answers["global", "reconnect"] = refuse("ValidationError")
        script.at(4, script.show, "a", "disconnected")
        script.at(50, script.show, "a", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.asked("reconnect") == [("a", 2.0)]


@pytest.mark.parametrize("late", [0.5, 3.0, 8.0])
@pytest.mark.parametrize("before", [0.4, 3.0, 5.0])
async def test_what_a_subscribe_shows_is_no_success(before: float, late: float) -> None:
    """The terminal that was there shows itself late, and never comes back."""
    async with scripted() as script:
        script.answers["a", "reconnect"] = accept
        script.answers["b", "subscribe"] = refuse("TimeoutError")
        script.add()
        await until(script, 0.5)
        subscribed = script.requests[0].when
        await until(script, subscribed + before)
        shown = max(subscribed + late, script.now + 0.1)
        script.at(shown, script.show, "a", "authenticated")
        script.at(shown + 0.2, script.status)
        script.at(shown + 1.2, script.show, "a", "disconnected")
        result = await script.reconnect()
        assert result.outcome is Outcome.TIMED_OUT


async def test_the_old_terminals_last_words_are_no_success() -> None:
    """Subscribe 0 s, request 0.4, authenticated 0.5, status 0.6, disconnected 1.5, never back."""
    async with scripted() as script:
        script.answers["a", "reconnect"] = accept
        script.answers["b", "subscribe"] = refuse("TimeoutError")
        script.add()
        await eventually(lambda: script.requests)
        start = script.requests[0].when
        await until(script, start + 0.4)
        script.at(start + 0.5, script.show, "a", "authenticated")
        script.at(start + 0.6, script.status)
        script.at(start + 1.5, script.show, "a", "disconnected")
        result = await script.reconnect()
        assert result.outcome is Outcome.TIMED_OUT
        assert script.shown[-1][1] is False


async def test_a_terminal_that_stays_is_a_success_in_the_end() -> None:
    """What a subscribe may have shown is believed after a `status` five seconds later."""
    async with scripted() as script:
        script.answers["a", "reconnect"] = accept
        script.answers["b", "subscribe"] = refuse("TimeoutError")
        script.add()
        await until(script, 1.0)
        script.at(2.0, script.show, "a", "authenticated")
        for when in range(3, 20):
            script.at(when, script.status)
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.now == pytest.approx(7, abs=0.1)


@pytest.mark.parametrize("pressed", [1.0, 120.0])
async def test_on_the_seed_pages_server(pressed: float) -> None:
    """Two events and no more, the terminal down, subscribes open: authenticated when it comes."""
    async with scripted() as script:
        for zone in "ab":
            script.answers[zone, "reconnect"] = accept
        script.add()
        await until(script, pressed)
        script.at(pressed + 20, script.emit, "a", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert result.error is None
        assert len(script.asked("reconnect")) == 1
        assert script.monitor.state(ACCOUNT).terminal is True


async def test_timeout_error_is_not_the_last_word() -> None:
    """MetaApi did not reach the terminal just now; it comes back after 20 s."""
    async with scripted() as script:
        await well(script)
        script.answers["a", "reconnect"] = refuse("TimeoutError")
        script.at(22, script.show, "a", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert result.seconds == pytest.approx(20, abs=0.2)
        asked = script.asked("reconnect")
        assert {zone for zone, _ in asked} == {"a"}
        assert [when for _, when in asked] == [2.0, 7.0, 12.0, 17.0]


async def test_timeout_errors_end() -> None:
    """Six requests are enough; the rest of the time is waited."""
    async with scripted() as script:
        await well(script)
        script.answers["a", "reconnect"] = refuse("TimeoutError")
        result = await script.reconnect(120)
        assert result.outcome is Outcome.TIMED_OUT
        asked = script.asked("reconnect")
        assert [zone for zone, _ in asked if zone == "a"] == ["a"] * 6


async def test_one_place_at_a_time() -> None:
    """Up in two zones: one request is one restart."""
    async with scripted() as script:
        script.add()
        for zone in "ab":
            script.answers[zone, "reconnect"] = accept
        script.at(1.0, script.show, "a", "authenticated")
        script.at(1.2, script.show, "b", "authenticated", host="ps-mpb-1")
        await until(script, 30)
        script.at(32, script.show, "b", "disconnected", host="ps-mpb-1")
        script.at(36, script.show, "b", "authenticated", host="ps-mpb-1")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.asked("reconnect") == [("b", 30.0)]


async def test_up_nowhere() -> None:
    """The first place takes it, and no other is asked."""
    async with scripted() as script:
        script.add()
        script.answers["a", "reconnect"] = accept
        script.answers["b", "reconnect"] = accept
        await until(script, 100)
        script.at(110, script.show, "a", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.asked("reconnect") == [("a", 100.0)]


async def test_the_other_place_follows_a_timeout_error() -> None:
    """The account is in b, and a says `TimeoutError`: b has it five seconds later."""
    async with scripted() as script:
        script.add()
        script.answers["a", "subscribe"] = refuse("TimeoutError")
        script.answers["a", "reconnect"] = refuse("TimeoutError")
        script.answers["b", "reconnect"] = accept
        await until(script, 100)
        script.at(110, script.show, "b", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.asked("reconnect") == [("a", 100.0), ("b", 105.0)]


async def test_the_other_place_follows_a_not_found_error() -> None:
    """At once."""
    async with scripted() as script:
        script.add()
        script.answers["a", "reconnect"] = refuse("NotFoundError")
        script.answers["b", "reconnect"] = accept
        await until(script, 100)
        script.at(110, script.show, "b", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.asked("reconnect") == [("a", 100.0), ("b", 100.0)]


async def test_a_late_response_of_a_terminal_that_is_off() -> None:
    """No `disconnected` comes, the response after 25 s: one request."""
    async with scripted() as script:
        script.add()
        script.answers["a", "subscribe"] = refuse("TimeoutError")
        script.answers["b", "subscribe"] = refuse("TimeoutError")
        script.answers["a", "reconnect"] = later(25, accept)
        await until(script, 100)
        script.at(130, script.show, "a", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.asked("reconnect") == [("a", 100.0)]


async def test_a_socket_that_is_lost_with_the_request() -> None:
    """It may have arrived: nothing is sent elsewhere."""
    async with scripted() as script:
        await well(script)
        script.answers["b", "reconnect"] = accept
        script.at(3, script.cut, "a")
        result = await script.reconnect()
        assert result.outcome is Outcome.CONNECTION_LOST
        assert result.error is None
        assert script.asked("reconnect") == [("a", 2.0)]
        assert script.now < 4


async def test_a_socket_that_is_lost_before_the_request() -> None:
    """Its place is waited for five seconds, then another is asked."""
    async with scripted() as script:
        await well(script)
        script.answers["b", "reconnect"] = accept
        await script.servers["a"].__aexit__()
        await until(script, 3)
        script.at(10, script.show, "b", "authenticated")
        script.at(16, script.status, "b")
        result = await script.reconnect()
        assert script.asked("reconnect") == [("b", 8.0)]
        assert result.outcome is Outcome.AUTHENTICATED
        await script.servers["a"].__aenter__()


async def test_a_socket_that_comes_back_in_time_is_waited_for() -> None:
    """The place that showed the terminal last is the best; a subscribe goes just before."""
    async with scripted() as script:
        await well(script)
        script.answers["a", "reconnect"] = accept
        script.cut("a")
        await until(script, 2.1)
        script.at(12, script.show, "a", "authenticated")
        script.at(18, script.status)
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        kinds = [each.kind for each in script.requests if each.zone == "a"]
        assert kinds == ["subscribe", "subscribe", "reconnect"]


async def test_half_a_minute_of_silence_calls_for_the_seed_pages_form() -> None:
    """Where nothing moved and no zone ever took it; on that socket every `authenticated` counts."""
    async with scripted() as script:
        await well(script)
        script.answers["global", "reconnect"] = accept
        script.at(35, script.emit, "global", "authenticated")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.asked("reconnect") == [("a", 2.0), ("global", 32.0)]
        assert script.monitor.reconnect_form == "seed_page"


@pytest.mark.parametrize("answer", ["accept", "refuse"])
async def test_an_answer_to_the_earlier_request_still_counts(answer: str) -> None:
    """The seed page's form is refused, the other answered after 40 s."""
    async with scripted() as script:
        await well(script)
        script.answers["a", "reconnect"] = later(
            40, accept if answer == "accept" else refuse("ForbiddenError")
        )
        script.answers["global", "reconnect"] = refuse("ValidationError")
        script.at(50, script.show, "a", "authenticated")
        result = await script.reconnect(100)
        if answer == "accept":
            assert result.outcome is Outcome.AUTHENTICATED
        else:
            assert result.outcome is Outcome.REFUSED
            assert result.error == "ForbiddenError of a"


async def test_the_seed_pages_refusal_is_told_in_the_end() -> None:
    """Nobody answers the first form: what the second was told is the better reason."""
    async with scripted() as script:
        await well(script)
        script.answers["global", "reconnect"] = refuse("ForbiddenError")
        result = await script.reconnect()
        assert result.outcome is Outcome.REFUSED
        assert result.error == "ForbiddenError of global"
        assert result.seconds == pytest.approx(60, abs=0.1)


async def test_a_zone_that_took_it_once_is_not_asked_twice() -> None:
    """It knows the form: silence is only silence."""
    async with scripted() as script:
        await well(script)
        script.answers["a", "reconnect"] = accept
        script.at(3, script.show, "a", "disconnected")
        script.at(4, script.show, "a", "authenticated")
        assert (await script.reconnect()).outcome is Outcome.AUTHENTICATED
        script.answers["a", "reconnect"] = ignore
        assert (await script.reconnect()).outcome is Outcome.TIMED_OUT
        assert {zone for zone, _ in script.asked("reconnect")} == {"a"}


async def test_other_terminals_go_on() -> None:
    """Accepted in a, while b's `status` goes on: on all the time."""
    async with scripted() as script:
        script.add()
        script.answers["a", "reconnect"] = accept
        script.at(1.0, script.show, "b", "authenticated", host="ps-mpb-1", replicas=2)
        script.at(2.0, script.show, "a", "authenticated", replicas=2)
        for when in range(3, 100, 5):
            script.at(when, script.status, "b", "ps-mpb-1")
        await until(script, 30)
        result = await script.reconnect()
        assert result.outcome is Outcome.TIMED_OUT
        assert [value for _, value in script.shown] == [None, True]


async def test_another_place_proves_nothing() -> None:
    """Unless its terminal went since: then it was the one."""
    async with scripted() as script:
        script.add()
        script.answers["a", "reconnect"] = accept
        script.at(1.0, script.show, "b", "authenticated", host="ps-mpb-1", replicas=2)
        script.at(2.0, script.show, "a", "authenticated", replicas=2)
        await until(script, 30)
        script.at(31, script.show, "b", "authenticated", host="ps-mpb-1")
        script.at(40, script.show, "b", "disconnected", host="ps-mpb-1")
        script.at(45, script.show, "b", "authenticated", host="ps-mpb-1")
        result = await script.reconnect()
        assert result.outcome is Outcome.AUTHENTICATED
        assert script.now == pytest.approx(45, abs=0.1)
