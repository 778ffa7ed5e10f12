"""Quiet times of a trigger: the weekend of the currency market, and while an entity of the user's is on."""

from collections.abc import Callable, Iterable
from datetime import datetime, time, timedelta, tzinfo

from homeassistant.const import STATE_ON
from homeassistant.core import (
    CALLBACK_TYPE,
    Event,
    EventStateChangedData,
    HassJob,
    HomeAssistant,
    callback,
)
from homeassistant.helpers.event import (
    async_call_later,
    async_track_state_change_event,
)
from homeassistant.util import dt as dt_util

FX_ZONE = "America/New_York"
"""The currency market keeps New York's time, daylight saving included."""
FX_BOUND = time(17)
FRIDAY = 4
LOOK_INTERVAL = timedelta(hours=1)
"""Far less than a weekend, so that none is missed."""


def fx_weekend(moment: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return when the last weekend of the currency market before a moment began, and its end."""
    local = moment.astimezone(zone)
    friday = local.date() - timedelta(days=(local.weekday() - FRIDAY) % 7)
    begins = datetime.combine(friday, FX_BOUND, zone)
    if begins > local:
        friday -= timedelta(days=7)
        begins = datetime.combine(friday, FX_BOUND, zone)
    ends = datetime.combine(friday + timedelta(days=2), FX_BOUND, zone)
    return dt_util.as_utc(begins), dt_util.as_utc(ends)


class Quiet:
    """The quiet times of one trigger."""

    def __init__(
        self,
        hass: HomeAssistant,
        zone: tzinfo | None,
        entity_ids: Iterable[str],
    ) -> None:
        """Take the market's time zone, none where weekends are not quiet."""
        self._hass = hass
        self._zone = zone
        self._entity_ids = list(entity_ids)
        self._ended: Callable[[], None] | None = None
        self._cancel: CALLBACK_TYPE | None = None
        self._job = HassJob(self._async_look_again, cancel_on_shutdown=True)
        self._was_quiet = False

    @callback
    def async_attach(self, ended: Callable[[], None]) -> CALLBACK_TYPE:
        """Call back at each end of a quiet time from now on; returns what ends that."""
        self._ended = ended
        self._was_quiet = self.is_quiet()
        self._async_arm()
        unsubscribe = async_track_state_change_event(
            self._hass, self._entity_ids, self._async_entity_changed
        )

        @callback
        def async_detach() -> None:
            """Call back no more."""
            unsubscribe()
            if self._cancel is not None:
                self._cancel()

        return async_detach

    def is_quiet(self) -> bool:
        """Return whether it is quiet now."""
        now = dt_util.utcnow()
        return self.was_quiet(now, now)

    def was_quiet(self, begin: datetime, now: datetime) -> bool:
        """Return whether it has been quiet from a moment until now without a break."""
        if self._zone is not None:
            begins, ends = fx_weekend(now, self._zone)
            if begins <= min(begin, now) and now < ends:
                return True
        return any(
            state.state == STATE_ON and (begin >= now or state.last_changed <= begin)
            for entity_id in self._entity_ids
            if (state := self._hass.states.get(entity_id))
        )

    @callback
    def _async_arm(self) -> None:
        """Look again when the weekend ends, or soon: the clock of the home may be set."""
        if self._zone is None:
            return
        now = dt_util.utcnow()
        left = fx_weekend(now, self._zone)[1] - now
        wait = min(left, LOOK_INTERVAL) if left > timedelta() else LOOK_INTERVAL
        self._cancel = async_call_later(self._hass, wait, self._job)

    @callback
    def _async_look_again(self, _now: datetime) -> None:
        """Look whether it is over."""
        self._async_arm()
        self._async_look()

    @callback
    def _async_entity_changed(self, event: Event[EventStateChangedData]) -> None:
        """Look whether it is over."""
        old = event.data["old_state"]
        self._was_quiet = self._was_quiet or (old is not None and old.state == STATE_ON)
        self._async_look()

    @callback
    def _async_look(self) -> None:
        """Fire when a quiet time has ended."""
        was_quiet, self._was_quiet = self._was_quiet, self.is_quiet()
        if was_quiet and not self._was_quiet and self._ended is not None:
            self._ended()
