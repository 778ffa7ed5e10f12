"""What is told of outages: whole sentences in the language of the home."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.translation import async_get_cached_translations
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .api import Outcome
from .const import DOMAIN
from .device import async_account_name, async_get_device
from .outages import AccountRecord, Facet

NAMES = 20
"""A push carries about 4 kB: so many names, and the number of the others."""


class Phase(StrEnum):
    """What of an outage is told."""

    LOST = "lost"
    RECONNECT_DUE = "reconnect_due"
    RECONNECT_FAILED = "reconnect_failed"
    BACK = "back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One account that something is told of."""

    account_id: str
    entry: ConfigEntry
    record: AccountRecord
    next_attempt: datetime | None = None
    """When a reconnect is due."""
    attempt: int = 0
    """Which attempt is due now."""


TITLES = {
    (Facet.TERMINAL, Phase.LOST): ("account_down", "accounts_down"),
    (Facet.TERMINAL, Phase.RECONNECT_DUE): (
        "account_still_down",
        "accounts_still_down",
    ),
    (Facet.TERMINAL, Phase.RECONNECT_FAILED): (
        "account_still_down",
        "accounts_still_down",
    ),
    (Facet.TERMINAL, Phase.BACK): ("account_back", "accounts_back"),
    (Facet.BROKER, Phase.LOST): ("broker_lost", "brokers_lost"),
    (Facet.BROKER, Phase.BACK): ("broker_back", "brokers_back"),
    (Facet.SIGHT, Phase.LOST): ("account_out_of_sight", "accounts_out_of_sight"),
    (Facet.SIGHT, Phase.BACK): ("account_in_sight", "accounts_in_sight"),
}
"""By what was lost or is back: the title for one account, and for many."""

LOST_AT = {
    Facet.TERMINAL: "terminal_lost_at",
    Facet.BROKER: "broker_lost_at",
    Facet.SIGHT: "not_seen_since",
}
WAS_LOST = {
    Facet.TERMINAL: "was_down",
    Facet.BROKER: "was_without_broker",
    Facet.SIGHT: "was_out_of_sight",
}

PLAIN = frozenset({"disconnected", "broker_disconnected", "reconnecting"})
"""A status that says no more than the rest of the message."""

ADVICE = frozenset(
    {
        "forbidden",
        "never_authenticated",
        "no_connection",
        "not_deployed",
        "not_found",
        "quota_exhausted",
        "token_refused",
    }
)
"""A status or an outcome that a person can do something about."""


class Composer:
    """Composes messages for a home."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Take the texts in the language of the home, which Home Assistant has loaded."""
        self._hass = hass
        self.language = hass.config.language
        self._common = async_get_cached_translations(
            hass, self.language, "common", DOMAIN
        )
        self._entity = async_get_cached_translations(
            hass, self.language, "entity", DOMAIN
        )

    @property
    def has_texts(self) -> bool:
        """Return whether the texts were loaded; Home Assistant adds to them what it loads later."""
        return bool(self._common and self._entity)

    def text(self, key: str, **values: Any) -> str:
        """Return a text of the category `common`; its key where it is missing."""
        text = self._common.get(f"component.{DOMAIN}.common.{key}")
        return key if text is None else text.format(**values)

    def _entity_text(self, key: str, *, default: str) -> str:
        """Return a text of the category `entity`."""
        return self._entity.get(f"component.{DOMAIN}.entity.{key}", default)

    def status(self, record: AccountRecord) -> str:
        """Return a status as its sensor shows it."""
        if record.status is None:
            return self.text("not_running")
        return self._entity_text(
            f"sensor.status.state.{record.status}", default=record.status
        )

    def outcome(self, outcome: str) -> str:
        """Return an outcome as its event shows it."""
        return self._entity_text(
            f"event.reconnect_result.state_attributes.event_type.state.{outcome}",
            default=outcome,
        )

    @property
    def reconnect(self) -> str:
        """Return what the button says."""
        return self._entity_text("button.reconnect.name", default="Reconnect")

    def name(self, told: Told) -> str:
        """Return the name of an account."""
        return async_account_name(self._hass, told.entry, told.account_id)

    def reason(self, told: Told, phase: Phase) -> str:
        """Return why: what MetaApi said of an attempt, or else the status."""
        result = told.record.result
        if (
            phase is not Phase.RECONNECT_FAILED
            or result is None
            or result.outcome is Outcome.AUTHENTICATED
        ):
            return self.status(told.record)
        outcome = self.outcome(result.outcome)
        return f"{outcome} ({result.error})" if result.error else outcome

    def title(self, facet: Facet, phase: Phase, told: Sequence[Told]) -> str:
        """Return the title of a message about one account or many."""
        one, many = TITLES[facet, phase]
        if len(told) == 1:
            return self.text(one, account=self.name(told[0]))
        return self.text(many, count=len(told))

    def row(self, facet: Facet, phase: Phase, told: Told) -> tuple[str, str]:
        """Return the name of an account, and a sentence for its row in Activity.

        The sentence names the account as well: the frontend may show the name of the entity in place of that
        of the row.
        """
        name = self.name(told)
        title = self.text(TITLES[facet, phase][0], account=name)
        details = (
            self._back(facet, told) if phase is Phase.BACK else self.status(told.record)
        )
        return name, f"{title} · {details}"

    def message(self, facet: Facet, phase: Phase, told: Sequence[Told]) -> str:
        """Return a message about one account or many."""
        if len(told) > 1:
            return self._about_many(facet, phase, told)
        (one,) = told
        if phase is Phase.BACK:
            return self._back(facet, one)
        return self._lost(facet, phase, one)

    def time(self, moment: datetime | None) -> str:
        """Return a moment in the time of the home; with its day, where that is not today."""
        now = dt_util.now()
        local = now if moment is None else dt_util.as_local(moment)
        # faster than `strftime`
        time = f"{local.hour:02}:{local.minute:02}"
        return time if local.date() == now.date() else f"{local.date()} {time}"

    def date(self, moment: datetime) -> str:
        """Return a day and its time in words, and whose time it is."""
        local = dt_util.as_local(moment)
        return self.text(
            "date",
            day=local.day,
            month=self.text(f"month_{local.month}"),
            time=f"{local:%H:%M}",
            year=local.year,
            zone=self._hass.config.time_zone.replace("_", " "),
        )

    def duration(self, duration: timedelta) -> str:
        """Return a duration in the units that matter."""
        seconds = round(duration.total_seconds())
        if seconds < 60:
            return self.text("duration_seconds", seconds=seconds)
        minutes, hours = seconds // 60, seconds // 3600
        if minutes < 60:
            return self.text("duration_minutes", minutes=minutes)
        if hours < 24:
            return self.text("duration_hours", hours=hours, minutes=minutes % 60)
        return self.text("duration_days", days=hours // 24, hours=hours % 24)

    def names(self, names: Sequence[str]) -> str:
        """Return names, and how many more there are."""
        shown = ", ".join(names[:NAMES])
        if len(names) <= NAMES:
            return shown
        return self.text("and_more", names=shown, count=len(names) - NAMES)

    def _lost(self, facet: Facet, phase: Phase, told: Told) -> str:
        """Return what is lost, since when, why, what was tried, and what comes or what to do."""
        record = told.record
        status = record.status and record.status.value
        parts = [
            self.text(
                LOST_AT[facet],
                time=self.time(record.facets[facet].since),
                details=self._details(told),
            )
        ]
        advice = (status or "not_running") if facet is not Facet.BROKER else None
        result = record.result
        if phase is Phase.RECONNECT_FAILED and result and record.attempted_at:
            parts.append(
                self.text(
                    "reconnect_failed_at",
                    time=self.time(record.attempted_at),
                    outcome=self.reason(told, phase),
                )
            )
            if result.outcome in ADVICE:
                advice = result.outcome.value
        elif facet is not Facet.BROKER and status not in PLAIN:
            parts.append(self.text("status_is", status=self.status(record)))
        if phase is Phase.RECONNECT_DUE:
            parts.append(self.text("reconnecting_now", attempt=told.attempt))
        elif told.next_attempt is not None:
            parts.append(
                self.text("reconnecting_at", time=self.time(told.next_attempt))
            )
        else:
            if phase is Phase.RECONNECT_FAILED:
                parts.append(self.text("gave_up"))
            parts.extend(self._advice(advice, phase))
        return " ".join(parts)

    def _advice(self, about: str | None, phase: Phase) -> list[str]:
        """Return what a person can do."""
        if about in ADVICE or about == "not_running":
            return [self.text(f"advice_{about}")]
        return [self.text("advice_look")] if phase is Phase.RECONNECT_FAILED else []

    def _back(self, facet: Facet, told: Told) -> str:
        """Return how long it was lost, and what was tried or how it is now."""
        lost = told.record.facets[facet]
        parts = [
            self.text(
                WAS_LOST[facet],
                duration=self.duration(lost.lasted()),
                time=self.time(lost.since),
            )
        ]
        if facet is Facet.TERMINAL and told.record.attempts:
            parts.append(self.text("attempts", attempts=told.record.attempts))
        if facet is Facet.SIGHT:
            parts.append(self.text("status_is", status=self.status(told.record)))
        return " ".join(parts)

    def _about_many(self, facet: Facet, phase: Phase, told: Sequence[Told]) -> str:
        """Return whom it is about, and since when."""
        since = [one.record.facets[facet].since for one in told]
        parts = [
            self.text(
                "names",
                names=self.names(sorted(map(self.name, told), key=str.casefold)),
                time=self.time(min(filter(None, since), default=None)),
            )
        ]
        due = [one.next_attempt for one in told if one.next_attempt is not None]
        if phase is Phase.RECONNECT_DUE:
            parts.append(self.text("reconnecting_now", attempt=told[0].attempt))
        elif phase is Phase.RECONNECT_FAILED and not due:
            parts.append(self.text("gave_up"))
        elif due:
            parts.append(self.text("reconnecting_at", time=self.time(min(due))))
        return " ".join(parts)

    def _details(self, told: Told) -> str:
        """Return platform, login and server of an account, as far as its device has them."""
        device = async_get_device(self._hass, told.entry, told.account_id)
        if device is None:
            return ""
        platform, *rest = (device.model or "").split(" · ")
        details = ", ".join(filter(None, (platform, device.serial_number, *rest)))
        return f" ({details})" if details else ""


DATA_COMPOSER: HassKey[Composer] = HassKey(f"{DOMAIN}_composer")


@callback
def async_get_composer(hass: HomeAssistant) -> Composer:
    """Return the composer of the home, which is made anew only if the language changed."""
    composer = hass.data.get(DATA_COMPOSER)
    if (
        composer is None
        or composer.language != hass.config.language
        or not composer.has_texts
    ):
        composer = hass.data[DATA_COMPOSER] = Composer(hass)
    return composer
