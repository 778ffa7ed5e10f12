"""Check each point of docs/live-checklist.md against the live service."""

import asyncio
from collections import Counter
from functools import partial
import itertools
from typing import Any
import uuid

from custom_components.metaapi.api import (
    Account,
    Endpoints,
    ForbiddenError,
    HandshakeRefusedError,
    MetaApiError,
    NotFoundError,
    Provisioning,
    TerminalTimeoutError,
    UnauthorizedError,
)

from .reconnects import Place, ReconnectCheck
from .recording import Handshake, RecordingChannel, describe
from .report import seconds

WRONG_TOKEN = "wrong-on-purpose"


class Rest(Provisioning):
    """The client's REST API, with additional calls and fields."""

    async def raw_account(self, account_id: str) -> dict[str, Any]:
        """Return an account as the server sends it."""
        raw = await self._get(f"/users/current/accounts/{account_id}")
        return raw if isinstance(raw, dict) else {}

    async def regions(self) -> list[str]:
        """Return the regions, the user's default first."""
        raw = await self._get("/users/current/regions")
        return [each for each in raw if isinstance(each, str)] if raw else []


class LiveCheck(ReconnectCheck):
    """Runs all checks for one account, and notes the findings."""

    async def run(self, *, reconnect: bool, limited_token: str | None) -> None:
        """Run all checks; `reconnect` is whether the user allowed reconnects."""
        for title, part in (
            (
                "REST: the account, the other accounts, servers and regions",
                self._check_rest,
            ),
            (
                "Handshakes without the client, sending only the token",
                self._check_handshakes,
            ),
            ("Refusals: a wrong token", self._check_wrong_token),
            (
                "A token without permission",
                partial(self._check_permission, limited_token),
            ),
            (
                "Which URL serves the account: subscribe on each",
                self._find_serving_place,
            ),
            (f"Listening for {self._options.watch:g} s", self._listen),
            ("Errors: subscribes that cannot work", self._check_subscribe_errors),
            ("Reconnects", partial(self._reconnect, allowed=reconnect)),
        ):
            self._report.progress(title)
            await part()

    async def _check_rest(self) -> None:
        """Read the account, the other accounts, regions and servers by REST."""
        rest = Rest(self._session, self._token, self._endpoints)
        progress = self._report.progress
        try:
            settings = await rest.server_settings()
            self._endpoints = Endpoints(
                api_url=self._options.api_url, settings=settings
            )
            progress(f"  servers: {settings.hostname}, {settings.domain}")
            self._regions = await rest.regions()
            progress(f"  regions: {', '.join(self._regions) or 'none'}")
            accounts = await rest.accounts()
            raw = await rest.raw_account(self._account_id)
        except MetaApiError as err:
            progress(f"  refused: {describe(err)}")
            return
        self._account = Account.from_json(raw)
        self._others = [
            each for each in accounts if each.account_id != self._account_id
        ]
        if self._account is not None:
            self._region = self._region or self._account.region
            progress(
                f"  the account: {self._account.state}, {self._account.connection_status},"
                f" region {self._account.region}, {raw.get('reliability')} reliability,"
                f" {len(self._account.replicas)} replicas, type {self._account.type}"
            )

    async def _check_handshakes(self) -> None:
        """Check the open packet of each place; check polling and EIO=4 on the first that answers."""
        patience = min(self._options.patience, 10.0)
        note = self._report.note
        answered: Place | None = None

        async def shake(place: Place, eio: int, transport: str) -> Handshake:
            shake = Handshake(self._session, place.zone.url, self._token, eio)
            await shake.shake(transport, patience)
            return shake

        for place in self._places:
            done = await shake(place, 3, "websocket")
            if done.opened is None:
                note("open-packet", f"{place.name}: {done.outcome}")
                continue
            answered = answered or place
            fields = {key: value for key, value in done.opened.items() if key != "sid"}
            frames = ", ".join(
                f"`{frame[:2]}` at {when:.2f} s" for when, frame in done.frames
            )
            note("open-packet", f"{place.name}: {fields}; frames: {frames}")
            times = (fields.get("pingInterval"), fields.get("pingTimeout"))
            sane = all(isinstance(ms, int) and 50 <= ms <= 3_600_000 for ms in times)
            connected = any(frame[:2] == "40" for _, frame in done.frames)
            self._report.judge("open-packet", expected=sane and connected)
        if answered is None:
            return
        for eio, key in ((3, "polling"), (4, "eio4")):
            done = await shake(answered, eio, "polling")
            note(key, f"polling, EIO={eio}, {answered.name}: {done.outcome}")
        done = await shake(answered, 4, "websocket")
        kinds = ", ".join(f"`{frame[:2]}`" for _, frame in done.frames)
        outcome = f"{done.outcome}; frames: {kinds}"
        note("eio4", f"websocket, EIO=4, {answered.name}: {outcome}")

    async def _check_wrong_token(self) -> None:
        """Check how a wrong token is refused."""
        place = self._places[0]
        note, judge = self._report.note, self._report.judge
        try:
            await Rest(self._session, WRONG_TOKEN, self._endpoints).check()
        except MetaApiError as err:
            note("bad-token", f"REST: {describe(err)}")
            judge("bad-token", expected=isinstance(err, UnauthorizedError))
        else:
            note("bad-token", "REST: accepted")
            judge("bad-token", expected=False)
        answer, _ = await self._try_token(place, WRONG_TOKEN, str(uuid.uuid4()))
        note("bad-token", f"{place.name}: {answer}")

    async def _check_permission(self, token: str | None) -> None:
        """Check how a token without the permission for streaming is refused."""
        if token is None:
            return
        place = self._places[0]
        answer, error = await self._try_token(place, token, self._account_id)
        self._report.note("no-streaming", f"{place.name}: {answer}")
        refused = isinstance(error, UnauthorizedError | ForbiddenError)
        if isinstance(error, HandshakeRefusedError):
            refused = error.status in (401, 403)
        self._report.judge("no-streaming", expected=refused)

    async def _try_token(
        self, place: Place, token: str, account_id: str
    ) -> tuple[str, MetaApiError | None]:
        """Connect and subscribe with a token; return a description of the refusal, and the error."""
        try:
            async with self._open(place, token) as channel:
                error = await channel.subscribe(account_id)
        except MetaApiError as err:
            return f"at the handshake: {describe(err)}", err
        if error is None:
            return "accepted, `subscribe` as well", None
        return f"connected, then `subscribe` got {describe(error)}", error

    async def _find_serving_place(self) -> None:
        """Find the first place that serves the account."""
        note = self._report.note
        clock = asyncio.get_running_loop().time
        for place in self._places:
            try:
                async with self._open(place) as channel:
                    sent = clock()
                    error = await channel.subscribe(self._account_id)
                    answer = "accepted" if error is None else describe(error)
                    answer += f" after {clock() - sent:.2f} s"
                    if came := await self._authenticated(channel, self._settle):
                        answer += f", `authenticated` after {came.when - sent:.2f} s"
                        self._serving_place = self._serving_place or place
                        self._note_authenticated(channel, came)
                    elif error is None:
                        answer += f", no `authenticated` within {self._settle:g} s"
                    note("who-serves", f"{place.name}: {answer}")
                    for form, count in channel.forms.items():
                        note("payload-form", f"{place.name}: {form} ({count} events)")
                        self._report.judge("payload-form", expected=True)
            except MetaApiError as err:
                note("who-serves", f"{place.name}: {describe(err)}")
        zoned = self._serving_place is not None and self._serving_place.name != "region"
        self._report.judge("who-serves", expected=zoned)

    async def _listen(self) -> None:
        """Listen on a subscribed socket and on one that is not subscribed."""
        place = self._serving_place or self._places[0]
        try:
            async with self._open(place) as subscriber, self._open(place) as bystander:
                await subscriber.subscribe(self._account_id)
                await asyncio.sleep(self._options.watch)
                await self._note_connections()
        except MetaApiError as err:
            self._report.progress(f"  {describe(err)}")
            return
        self._note_statuses(subscriber)
        unexpected = Counter(
            event.kind
            for channel in (subscriber, bystander)
            for event in channel.received
            if event.name == "synchronization"
            and (channel is bystander or event.account_id != self._account_id)
        )
        kinds = ", ".join(f"{count} {kind}" for kind, count in unexpected.items())
        self._report.note("status-unsubscribed", kinds or "nothing came")
        self._report.judge("status-unsubscribed", expected=True)

    async def _note_connections(self) -> None:
        """Note the `connections` of the account in REST while it is subscribed."""
        rest = Rest(self._session, self._token, self._endpoints)
        try:
            connections = (await rest.raw_account(self._account_id)).get("connections")
        except MetaApiError as err:
            self._report.progress(f"  no account from REST: {describe(err)}")
            return
        seen = f"it is {connections!r}"
        if isinstance(connections, list):
            zones = [each for each in connections if isinstance(each, dict)]
            seen = "; ".join(
                f"zone {each.get('zone')!r} of {each.get('region')!r}" for each in zones
            )
        self._report.note("connections-zone", seen or "an empty list")

    def _note_statuses(self, channel: RecordingChannel) -> None:
        """Note the fields and the intervals of statuses."""
        note = self._report.note
        statuses = channel.events(self._account_id, "status")
        kinds = Counter(event.kind for event in channel.received)
        note("status-interval", f"events received: {dict(kinds)}")
        if not statuses:
            return
        pauses: list[float] = []
        for host in {event.payload.get("host") for event in statuses}:
            times = [each.when for each in statuses if each.payload.get("host") == host]
            pauses += [later - sooner for sooner, later in itertools.pairwise(times)]
        last = statuses[-1].payload
        fields = {key: value for key, value in last.items() if key != "accountId"}
        note("status-interval", f"pauses: {seconds(pauses)}")
        note("status-interval", f"the last one: {fields}")
        flags = (last.get("connected"), last.get("authenticated"))
        if pauses:
            boolean = all(isinstance(flag, bool) for flag in flags)
            self._report.judge("status-interval", expected=max(pauses) < 60 and boolean)

    async def _check_subscribe_errors(self) -> None:
        """Check the errors of subscribes that cannot succeed."""
        place = self._serving_place or self._places[0]
        away = (NotFoundError, TerminalTimeoutError)
        await self._expect_error(
            "error-unknown", place, str(uuid.uuid4()), (NotFoundError,)
        )
        undeployed = next((each for each in self._others if not each.deployed), None)
        if undeployed is None:
            self._report.note("error-undeployed", "the token has no such account")
        else:
            there = Place(undeployed.state, self._endpoints.zones(undeployed.region)[0])
            await self._expect_error(
                "error-undeployed", there, undeployed.account_id, away
            )
        foreign = [each for each in self._regions if each != self._region]
        if not foreign or self._endpoints.api_url:
            self._report.note("error-foreign-region", "no other region to ask")
            return
        zone = self._endpoints.zones(foreign[0])[0]
        there = Place(zone.name, zone)
        await self._expect_error("error-foreign-region", there, self._account_id, away)

    async def _expect_error(
        self,
        key: str,
        place: Place,
        account_id: str,
        expected: tuple[type[MetaApiError], ...],
    ) -> None:
        """Subscribe an account in a place that must refuse it, and judge the answer."""
        error: MetaApiError | None = None
        try:
            async with self._open(place) as channel:
                error = await channel.subscribe(account_id)
            answer = "accepted" if error is None else describe(error)
        except MetaApiError as err:
            answer = f"no socket: {describe(err)}"
        self._report.note(key, f"{place.name}: {answer}")
        self._report.judge(key, expected=isinstance(error, expected))
