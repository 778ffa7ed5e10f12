"""Check the forms of `reconnect`; also the base class of the doctor's checks."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
import itertools
from math import inf
from typing import override

import aiohttp

from custom_components.metaapi.api import (
    Account,
    Endpoints,
    MetaApiError,
    TooManyRequestsError,
    Zone,
)

from .options import Options
from .recording import ReceivedEvent, RecordingChannel, describe
from .report import Report

PROTOCOLS = ("3", "2", None)
SETTLE = 3.0
"""Seconds to wait for further events after an `authenticated`."""


@dataclass(frozen=True)
class Place:
    """A URL that may serve the account."""

    name: str
    zone: Zone


@dataclass(frozen=True)
class Form:
    """A way to send `reconnect`."""

    place: str
    protocol: str | None
    subscribed: bool

    @override
    def __str__(self) -> str:
        """Return a description of the form."""
        protocol = "absent" if self.protocol is None else self.protocol
        subscribed = "with" if self.subscribed else "without"
        return f"{self.place} URL, protocol {protocol}, {subscribed} subscribe"


def forms(places: Iterable[str], *, every: bool) -> list[Form]:
    """Return the forms to try: the client's two, the last SDKs' one, and two for comparison."""
    home, *others = places
    if every:
        product = itertools.product((home, *others), PROTOCOLS, (True, False))
        return [Form(*each) for each in product]
    old = "global" if "global" in others else home
    middle = "region" if "region" in others else home
    wanted = [
        Form(home, "3", subscribed=True),
        Form(old, None, subscribed=False),
        Form(middle, "2", subscribed=True),
        Form(home, "3", subscribed=False),
        Form(old, "3", subscribed=True),
    ]
    return list(dict.fromkeys(wanted))


class Check:
    """Opens sockets to the places that may serve an account, and notes the findings."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        account_id: str,
        options: Options,
        report: Report,
        token: str,
    ) -> None:
        """Store the account to check, and the report."""
        self._session = session
        self._token = token
        self._account_id = account_id
        self._options = options
        self._report = report
        self._endpoints = Endpoints(api_url=options.api_url)
        self._region = options.region or ""
        self._account: Account | None = None
        self._others: list[Account] = []
        self._regions: list[str] = []
        self._serving_place: Place | None = None
        self._settle = min(SETTLE, options.patience)

    @asynccontextmanager
    async def _open(
        self, place: Place, token: str | None = None, protocol: str | None = "3"
    ) -> AsyncIterator[RecordingChannel]:
        """Open a socket; at the end, unsubscribe its accounts and close it."""
        # Without protocol, no instance either: the documentation's example has neither
        instance = None if protocol is None else place.zone.instance
        channel = RecordingChannel(
            self._session,
            token or self._token,
            patience=self._options.patience,
            instance=instance,
        )
        try:
            await channel.open(place.zone.url, protocol)
            yield channel
        finally:
            await channel.leave()

    async def _authenticated(
        self, channel: RecordingChannel, patience: float, since: float = 0.0
    ) -> ReceivedEvent | None:
        """Wait for an `authenticated` of the account, and return the first one."""
        came = await channel.wait_for(
            self._account_id, "authenticated", patience, since
        )
        return came[0] if came else None

    @property
    def _places(self) -> list[Place]:
        """Return the places to try, the most likely first."""
        if self._endpoints.api_url:
            return [Place("base", self._endpoints.global_zone)]
        places = []
        if self._region:
            zones = self._endpoints.zones(self._region)
            places = [Place(f"zone {zone.name[-1]}", zone) for zone in zones]
            settings = self._endpoints.settings
            url = f"https://{settings.hostname}.{self._region}.{settings.domain}"
            places.append(Place("region", Zone(url, self._region)))
        return [*places, Place("global", self._endpoints.global_zone)]

    def _note_authenticated(
        self, channel: RecordingChannel, event: ReceivedEvent
    ) -> None:
        """Note the fields of an `authenticated`."""
        fields = dict(event.payload)
        session_id = fields.pop("sessionId", None)
        for key in ("accountId", "type"):
            del fields[key]
        whose = "ours" if session_id == channel.session_id else "foreign"
        whose = "missing" if session_id is None else whose
        self._report.note(
            "authenticated-fields",
            f"type, accountId, sessionId {whose}, other fields {fields}",
        )
        self._report.judge("authenticated-fields", expected=whose != "foreign")


class ReconnectCheck(Check):
    """Checks the forms of `reconnect`."""

    async def _reconnect(self, *, allowed: bool) -> None:
        """Send `reconnect` in each form, and note the results."""
        if not allowed:
            self._report.note("reconnect-forms", "not asked: no permission was given")
            return
        if self._account is not None and not self._account.deployed:
            self._report.note("reconnect-forms", "not asked: it is not deployed")
            return
        home = self._serving_place or self._places[0]
        old = [place for place in self._places if place.name in ("region", "global")]
        by_name = {place.name: place for place in (home, *old)}
        accepted: list[Form] = []
        for form in forms(by_name, every=self._options.all_forms):
            error = await self._reconnect_in(form, by_name[form.place])
            if isinstance(error, TooManyRequestsError):
                return
            if error is None:
                accepted.append(form)
        taken = {(form.protocol, form.subscribed) for form in accepted}
        sufficient = {("3", True), (None, False)}
        self._report.judge("reconnect-forms", expected=bool(taken & sufficient))
        if accepted:
            await self._reconnect_twice(accepted[0], by_name[accepted[0].place])

    async def _reconnect_in(self, form: Form, place: Place) -> MetaApiError | None:
        """Send a `reconnect` in one form; return the error, or None."""
        clock = asyncio.get_running_loop().time
        patience = self._options.patience
        answer = "no socket: "
        try:
            async with self._open(place, protocol=form.protocol) as channel:
                if form.subscribed:
                    await channel.subscribe(self._account_id)
                    await self._authenticated(channel, self._settle)
                answer = ""
                sent = clock()
                await channel.request("reconnect", self._account_id)
                answer = f"accepted after {clock() - sent:.2f} s, "
                came = await self._authenticated(channel, patience, since=sent)
                await asyncio.sleep(self._settle)
                if came is None:
                    answer += f"no `authenticated` within {patience:g} s"
                else:
                    answer += f"`authenticated` after {came.when - sent:.2f} s"
        except MetaApiError as err:
            self._report.note("reconnect-forms", f"{form}: {answer}{describe(err)}")
            return err
        self._report.note("reconnect-forms", f"{form}: {answer}")
        self._note_order(form, channel, sent, came)
        return None

    def _note_order(
        self,
        form: Form,
        channel: RecordingChannel,
        sent: float,
        came: ReceivedEvent | None,
    ) -> None:
        """Note the events after a `reconnect`, in order."""
        note, judge = self._report.note, self._report.judge
        events = [
            event
            for event in channel.received
            if event.when >= sent and event.account_id in ("", self._account_id)
        ]
        end = came.when if came else inf
        order = ", ".join(
            f"{event} {event.when - sent:.2f} s"
            for event in events[:20]
            if event.when <= end or event.kind != "status"
        )
        note("reconnect-order", f"{form}: {order}")
        answered = [each.when - sent for each in events if each.kind == "response"]
        in_time = bool(answered) and answered[0] < 20 and end - sent < 60
        judge("reconnect-order", expected=in_time)
        if came is None:
            return
        self._note_authenticated(channel, came)
        before = ", ".join(
            str(event)
            for event in events
            if event.when < end
            and (
                event.kind == "disconnected"
                or event.payload.get("authenticated") is False
            )
        )
        note("reconnect-disconnected", f"{form}: {before or 'nothing'}")
        judge("reconnect-disconnected", expected=True)

    async def _reconnect_twice(self, form: Form, place: Place) -> None:
        """Send two reconnects at once."""
        self._report.progress("  two at once")
        try:
            async with self._open(place, protocol=form.protocol) as channel:
                answers = await asyncio.gather(
                    *(channel.request("reconnect", self._account_id) for _ in range(2)),
                    return_exceptions=True,
                )
                await self._authenticated(channel, self._options.patience)
        except MetaApiError as err:
            self._report.note("reconnect-rapid", f"no socket: {describe(err)}")
            return
        said = [
            describe(answer) if isinstance(answer, MetaApiError) else "accepted"
            for answer in answers
        ]
        self._report.note("reconnect-rapid", "; ".join(said))
