"""The examination: each question of the list, asked of the live service."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
import itertools
from math import inf
from typing import Any, override
import uuid

import aiohttp

from custom_components.metaapi.api import (
    Account,
    Endpoints,
    ForbiddenError,
    HandshakeRefusedError,
    MetaApiError,
    NotFoundError,
    Provisioning,
    TerminalTimeoutError,
    TooManyRequestsError,
    UnauthorizedError,
    Zone,
)

from .line import Heard, Line, bare_polling, bare_websocket, describe
from .options import Options
from .report import Report, seconds

WRONG_TOKEN = "wrong-on-purpose"

PROTOCOLS = ("3", "2", None)
SETTLE = 3.0
"""How long events that follow an `authenticated` are still waited for."""


class Rest(Provisioning):
    """The client's REST, with the fields that it has no use for."""

    async def raw_account(self, account_id: str) -> dict[str, Any]:
        """Return an account as the server tells it."""
        raw = await self._get(f"/users/current/accounts/{account_id}")
        return raw if isinstance(raw, dict) else {}

    async def regions(self) -> list[str]:
        """Return the regions that there are, the user's default first."""
        raw = await self._get("/users/current/regions")
        return [each for each in raw if isinstance(each, str)] if raw else []


@dataclass(frozen=True)
class Place:
    """A URL that may serve the account."""

    name: str
    zone: Zone


@dataclass(frozen=True)
class Form:
    """One way to send `reconnect`."""

    place: str
    protocol: str | None
    subscribed: bool

    @override
    def __str__(self) -> str:
        """Name the form."""
        protocol = "absent" if self.protocol is None else self.protocol
        subscribed = "with" if self.subscribed else "without"
        return f"{self.place} URL, protocol {protocol}, {subscribed} subscribe"


def forms(places: Iterable[str], *, every: bool) -> list[Form]:
    """Return the forms of `reconnect` to try: the client's two, the last SDKs', and what tells why."""
    home, *others = places
    everywhere = [home, *others]
    if every:
        return [
            Form(place, protocol, subscribed)
            for place, protocol, subscribed in itertools.product(
                everywhere, PROTOCOLS, (True, False)
            )
        ]
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


class Examination:
    """Asks everything about one account, and writes down what comes."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        account_id: str,
        options: Options,
        report: Report,
        *,
        token: str,
        reconnect: bool,
        limited_token: str | None = None,
    ) -> None:
        """Prepare; `reconnect` says whether leave was given."""
        self._session = session
        self._token = token
        self._account_id = account_id
        self._options = options
        self._report = report
        self._may_reconnect = reconnect
        self._limited_token = limited_token
        self._endpoints = Endpoints(api_url=options.api_url)
        self._region = options.region or ""
        self._account: Account | None = None
        self._others: list[Account] = []
        self._regions: list[str] = []
        self._home: Place | None = None
        self._settle = min(SETTLE, options.patience)

    # -- what the parts of this use ------------------------------------------------------------

    def _line(self, place: Place, token: str | None = None) -> Line:
        """Return a socket that is not open yet."""
        return Line(
            self._session,
            token or self._token,
            patience=self._options.patience,
            instance=place.zone.instance,
        )

    async def _subscribe(self, line: Line, account_id: str) -> MetaApiError | None:
        """Subscribe an account; return the error if there is one."""
        try:
            await line.request("subscribe", account_id, sessionId=line.session_id)
        except MetaApiError as err:
            return err
        return None

    async def _authenticated(
        self, line: Line, patience: float, since: float = 0.0
    ) -> list[Heard]:
        """Wait for an `authenticated` of the account, and return those that came."""
        return await line.until(
            lambda: line.events(self._account_id, "authenticated", since), patience
        )

    async def _leave(self, line: Line, *account_ids: str) -> None:
        """Give subscriptions back and close."""
        try:
            for account_id in account_ids:
                with suppress(MetaApiError):
                    await line.request("unsubscribe", account_id, timeout=5.0)
        finally:
            await line.close()

    @property
    def _places(self) -> list[Place]:
        """Return the URLs to ask, the likeliest first."""
        if self._endpoints.api_url:
            return [Place("base", self._endpoints.global_zone)]
        places = []
        if self._region:
            letters = zip("ab", self._endpoints.zones(self._region), strict=True)
            places = [Place(f"zone {letter}", zone) for letter, zone in letters]
            settings = self._endpoints.settings
            url = f"https://{settings.hostname}.{self._region}.{settings.domain}"
            places.append(Place("region", Zone(url, self._region)))
        return [*places, Place("global", self._endpoints.global_zone)]

    # -- the examination -----------------------------------------------------------------------

    async def run(self) -> None:
        """Ask everything."""
        tell = self._report.tell
        tell("REST: the account, its neighbours, servers and regions")
        await self._ask_rest()
        tell("Handshakes by hand, which send nothing but the token")
        await self._shake_hands()
        tell("Refusals: a token that is wrong on purpose, then one without permission")
        await self._be_refused()
        tell("Which URL serves the account: a subscribe on each")
        await self._find_home()
        tell(f"Listening for {self._options.watch:g} s")
        await self._listen()
        tell("Errors: subscribes that cannot work")
        await self._provoke_errors()
        tell("Reconnects")
        await self._reconnect()

    async def _ask_rest(self) -> None:
        """Ask the provisioning API what it knows."""
        rest = Rest(self._session, self._token, self._endpoints)
        tell = self._report.tell
        try:
            settings = await rest.server_settings()
            self._endpoints = Endpoints(
                api_url=self._options.api_url, settings=settings
            )
            tell(f"  servers: {settings.hostname}, {settings.domain}")
            self._regions = await rest.regions()
            tell(f"  regions: {', '.join(self._regions) or 'none'}")
            accounts = await rest.accounts()
            raw = await rest.raw_account(self._account_id)
        except MetaApiError as err:
            tell(f"  refused: {describe(err)}")
            return
        self._account = Account.from_json(raw)
        self._others = [
            each for each in accounts if each.account_id != self._account_id
        ]
        if self._account is not None:
            self._region = self._region or self._account.region
            tell(
                f"  the account: {self._account.state}, {self._account.connection_status},"
                f" region {self._account.region}, {raw.get('reliability')} reliability,"
                f" {len(self._account.replicas)} replicas, type {self._account.type}"
            )

    async def _look_at_connections(self) -> None:
        """Note where REST says that the account is connected, while it is subscribed."""
        rest = Rest(self._session, self._token, self._endpoints)
        try:
            connections = (await rest.raw_account(self._account_id)).get("connections")
        except MetaApiError as err:
            self._report.tell(f"  no account from REST: {describe(err)}")
            return
        if isinstance(connections, list):
            seen = [
                f"zone {each.get('zone')!r} of {each.get('region')!r}"
                for each in connections
                if isinstance(each, dict)
            ]
            self._report.note("connections-zone", "; ".join(seen) or "an empty list")
        else:
            self._report.note("connections-zone", f"it is {connections!r}")

    async def _shake_hands(self) -> None:
        """Look at the open packet of every place, and at what the client never uses at the first that answers."""
        patience = min(self._options.patience, 10.0)
        note = self._report.note
        answered: Place | None = None
        for place in self._places:
            bare = await bare_websocket(
                self._session, place.zone.url, self._token, 3, patience
            )
            if bare.opened is None:
                note("open-packet", f"{place.name}: {bare.outcome}")
                continue
            answered = answered or place
            told = {key: value for key, value in bare.opened.items() if key != "sid"}
            frames = ", ".join(
                f"`{frame[:2]}` at {when:.2f} s" for when, frame in bare.frames
            )
            note("open-packet", f"{place.name}: {told}; frames: {frames}")
            times = (told.get("pingInterval"), told.get("pingTimeout"))
            self._report.judge(
                "open-packet",
                expected=all(
                    isinstance(time, int) and 50 <= time <= 3_600_000 for time in times
                )
                and any(frame[:2] == "40" for _, frame in bare.frames),
            )
        if answered is None:
            return
        url = answered.zone.url
        for eio in (3, 4):
            key = "polling" if eio == 3 else "eio4"
            polled = await bare_polling(self._session, url, self._token, eio, patience)
            note(key, f"polling, EIO={eio}, {answered.name}: {polled.outcome}")
        bare = await bare_websocket(self._session, url, self._token, 4, patience)
        kinds = ", ".join(f"`{frame[:2]}`" for _, frame in bare.frames)
        note(
            "eio4",
            f"websocket, EIO=4, {answered.name}: {bare.outcome}; frames: {kinds}",
        )

    async def _be_refused(self) -> None:
        """Find out how tokens are refused."""
        place = self._places[0]
        wrong = Rest(self._session, WRONG_TOKEN, self._endpoints)
        try:
            await wrong.check()
        except MetaApiError as err:
            self._report.note("bad-token", f"REST: {describe(err)}")
            self._report.judge("bad-token", expected=isinstance(err, UnauthorizedError))
        else:
            self._report.note("bad-token", "REST: accepted")
            self._report.judge("bad-token", expected=False)
        said, _ = await self._try_token(place, WRONG_TOKEN, str(uuid.uuid4()))
        self._report.note("bad-token", f"{place.name}: {said}")
        if self._limited_token is None:
            return
        said, error = await self._try_token(
            place, self._limited_token, self._account_id
        )
        self._report.note("no-streaming", f"{place.name}: {said}")
        refused = isinstance(error, HandshakeRefusedError) and error.status in (
            401,
            403,
        )
        self._report.judge(
            "no-streaming",
            expected=refused or isinstance(error, UnauthorizedError | ForbiddenError),
        )

    async def _try_token(
        self, place: Place, token: str, account_id: str
    ) -> tuple[str, MetaApiError | None]:
        """Connect and subscribe with a token that should be refused; return where it was, and how."""
        line = self._line(place, token)
        try:
            await line.open(place.zone.url)
            error = await self._subscribe(line, account_id)
            if error is None:
                return "accepted, `subscribe` as well", None
            return f"connected, then `subscribe` got {describe(error)}", error
        except MetaApiError as err:
            return f"at the handshake: {describe(err)}", err
        finally:
            await self._leave(line)

    async def _find_home(self) -> None:
        """Find the place that serves the account."""
        note = self._report.note
        for place in self._places:
            line = self._line(place)
            subscribed = False
            try:
                await line.open(place.zone.url)
                clock = asyncio.get_running_loop().time
                sent = clock()
                error = await self._subscribe(line, self._account_id)
                subscribed = error is None
                answer = (
                    "accepted" if error is None else describe(error)
                ) + f" after {clock() - sent:.2f} s"
                came = await self._authenticated(line, self._settle)
                if came:
                    answer += f", `authenticated` after {came[0].when - sent:.2f} s"
                    self._home = self._home or place
                    self._look_at_authenticated(line, came[0])
                elif error is None:
                    answer += f", no `authenticated` within {self._settle:g} s"
                note("who-serves", f"{place.name}: {answer}")
                for form, count in line.forms.items():
                    note("payload-form", f"{place.name}: {form} ({count} events)")
            except MetaApiError as err:
                note("who-serves", f"{place.name}: {describe(err)}")
            finally:
                await self._leave(line, *[self._account_id] * subscribed)
        zoned = self._home is not None and self._home.name != "region"
        self._report.judge("who-serves", expected=zoned)
        if "payload-form" in self._report.found:
            self._report.judge("payload-form", expected=True)

    def _look_at_authenticated(self, line: Line, event: Heard) -> None:
        """Note the fields of an `authenticated`."""
        session_id = event.payload.get("sessionId")
        ours = (
            "missing"
            if session_id is None
            else "ours"
            if session_id == line.session_id
            else "foreign"
        )
        fields = {
            key: value
            for key, value in event.payload.items()
            if key not in ("sessionId", "accountId", "type")
        }
        self._report.note(
            "authenticated-fields",
            f"type, accountId, sessionId {ours}, other fields {fields}",
        )
        self._report.judge("authenticated-fields", expected=ours != "foreign")

    async def _listen(self) -> None:
        """Listen on a socket that subscribed, and on one that did not."""
        place = self._home or self._places[0]
        subscriber, bystander = self._line(place), self._line(place)
        try:
            await subscriber.open(place.zone.url)
            await bystander.open(place.zone.url)
            await self._subscribe(subscriber, self._account_id)
            await asyncio.sleep(self._options.watch)
            await self._look_at_connections()
        except MetaApiError as err:
            self._report.tell(f"  {describe(err)}")
        finally:
            await self._leave(bystander)
            await self._leave(subscriber, self._account_id)
        self._look_at_statuses(subscriber)
        strange = Counter(
            heard.kind
            for line in (subscriber, bystander)
            for heard in line.heard
            if heard.name == "synchronization"
            and (line is bystander or heard.account_id != self._account_id)
        )
        told = ", ".join(f"{count} {kind}" for kind, count in strange.items())
        self._report.note("status-unsubscribed", told or "nothing came")
        self._report.judge("status-unsubscribed", expected=True)

    def _look_at_statuses(self, line: Line) -> None:
        """Note what statuses looked like, and how often they came."""
        statuses = line.events(self._account_id, "status")
        kinds = Counter(heard.kind for heard in line.heard)
        self._report.note("status-interval", f"events heard: {dict(kinds)}")
        if not statuses:
            return
        pauses: list[float] = []
        for host in {heard.payload.get("host") for heard in statuses}:
            times = [
                heard.when for heard in statuses if heard.payload.get("host") == host
            ]
            pauses += [later - sooner for sooner, later in itertools.pairwise(times)]
        last = statuses[-1].payload
        fields = {key: value for key, value in last.items() if key != "accountId"}
        self._report.note("status-interval", f"pauses: {seconds(pauses)}")
        self._report.note("status-interval", f"the last one: {fields}")
        flags = (last.get("connected"), last.get("authenticated"))
        if pauses:
            self._report.judge(
                "status-interval",
                expected=max(pauses) < 60
                and all(isinstance(flag, bool) for flag in flags),
            )

    async def _provoke_errors(self) -> None:
        """Subscribe what cannot be subscribed."""
        place = self._home or self._places[0]
        error = await self._provoke("error-unknown", place, str(uuid.uuid4()))
        self._report.judge("error-unknown", expected=isinstance(error, NotFoundError))
        resting = next((each for each in self._others if not each.deployed), None)
        if resting is None:
            self._report.note("error-undeployed", "the token has no such account")
        else:
            zones = self._endpoints.zones(resting.region)
            error = await self._provoke(
                "error-undeployed", Place(resting.state, zones[0]), resting.account_id
            )
            self._report.judge(
                "error-undeployed",
                expected=isinstance(error, NotFoundError | TerminalTimeoutError),
            )
        foreign = [each for each in self._regions if each != self._region]
        if not foreign or self._endpoints.api_url:
            self._report.note("error-foreign-region", "no other region to ask")
            return
        zone = self._endpoints.zones(foreign[0])[0]
        error = await self._provoke(
            "error-foreign-region", Place(zone.name, zone), self._account_id
        )
        self._report.judge(
            "error-foreign-region",
            expected=isinstance(error, NotFoundError | TerminalTimeoutError),
        )

    async def _provoke(
        self, key: str, place: Place, account_id: str
    ) -> MetaApiError | None:
        """Subscribe an account where that cannot work, and note what is said."""
        line = self._line(place)
        error: MetaApiError | None = None
        try:
            await line.open(place.zone.url)
            error = await self._subscribe(line, account_id)
            said = "accepted" if error is None else describe(error)
        except MetaApiError as err:
            said = f"no socket: {describe(err)}"
        finally:
            await self._leave(line, *[account_id] * (error is None and line.connected))
        self._report.note(key, f"{place.name}: {said}")
        return error

    # -- reconnect -----------------------------------------------------------------------------

    async def _reconnect(self) -> None:
        """Send `reconnect` in each form, and watch what comes of it."""
        if not self._may_reconnect:
            self._report.note("reconnect-forms", "not asked: no leave was given")
            return
        if self._account is not None and not self._account.deployed:
            self._report.note("reconnect-forms", "not asked: it is not deployed")
            return
        places = self._places
        home = self._home or places[0]
        near = [place for place in places if place.name in ("region", "global")]
        by_name = {place.name: place for place in [home, *near]}
        accepted: list[Form] = []
        for form in forms(by_name, every=self._options.all_forms):
            taken = await self._reconnect_in(form, by_name[form.place])
            if taken is None:
                return
            if taken:
                accepted.append(form)
        sufficient = {("3", True), (None, False)}
        self._report.judge(
            "reconnect-forms",
            expected=any(
                (form.protocol, form.subscribed) in sufficient for form in accepted
            ),
        )
        if accepted:
            await self._reconnect_twice(accepted[0], by_name[accepted[0].place])

    async def _reconnect_in(self, form: Form, place: Place) -> bool | None:
        """Send one `reconnect`; return whether it was taken, or None when MetaApi had enough."""
        clock = asyncio.get_running_loop().time
        note = self._report.note
        line = self._line(place)
        # A form without protocol has no instance either: it is as old as the documentation's page
        if form.protocol is None:
            line = self._line(Place(place.name, Zone(place.zone.url)))
        try:
            await line.open(place.zone.url, form.protocol)
            if form.subscribed:
                await self._subscribe(line, self._account_id)
                await self._authenticated(line, self._settle)
            sent = clock()
            try:
                await line.request("reconnect", self._account_id)
            except MetaApiError as err:
                note("reconnect-forms", f"{form}: {describe(err)}")
                return None if isinstance(err, TooManyRequestsError) else False
            answered = clock() - sent
            came = await self._authenticated(line, self._options.patience, since=sent)
            await asyncio.sleep(self._settle)
            note(
                "reconnect-forms",
                f"{form}: accepted after {answered:.2f} s, "
                + (
                    f"`authenticated` after {came[0].when - sent:.2f} s"
                    if came
                    else f"no `authenticated` within {self._options.patience:g} s"
                ),
            )
            self._look_at_order(form, line, sent, came)
        except MetaApiError as err:
            note("reconnect-forms", f"{form}: no socket: {describe(err)}")
            return False
        else:
            return True
        finally:
            await self._leave(line, *[self._account_id] * form.subscribed)

    def _look_at_order(
        self, form: Form, line: Line, sent: float, came: list[Heard]
    ) -> None:
        """Note what came after a `reconnect`, and in which order."""
        events = [
            heard
            for heard in line.heard
            if heard.when >= sent and heard.account_id in ("", self._account_id)
        ]
        end = came[0].when if came else inf
        told = ", ".join(
            f"{_name(heard)} {heard.when - sent:.2f} s"
            for heard in events[:20]
            if heard.when <= end or heard.kind != "status"
        )
        self._report.note("reconnect-order", f"{form}: {told}")
        responses = [heard for heard in events if heard.kind == "response"]
        self._report.judge(
            "reconnect-order",
            expected=bool(came)
            and bool(responses)
            and responses[0].when - sent < 20
            and came[0].when - sent < 60,
        )
        if not came:
            return
        self._look_at_authenticated(line, came[0])
        before = [
            _name(heard)
            for heard in events
            if heard.when < came[0].when
            and (
                heard.kind == "disconnected"
                or heard.payload.get("authenticated") is False
            )
        ]
        told = ", ".join(before) or "nothing"
        self._report.note("reconnect-disconnected", f"{form}: {told}")
        self._report.judge("reconnect-disconnected", expected=True)

    async def _reconnect_twice(self, form: Form, place: Place) -> None:
        """Send two at once."""
        self._report.tell("  two at once")
        line = self._line(place)
        if form.protocol is None:
            line = self._line(Place(place.name, Zone(place.zone.url)))
        try:
            await line.open(place.zone.url, form.protocol)
            answers = await asyncio.gather(
                *(line.request("reconnect", self._account_id) for _ in range(2)),
                return_exceptions=True,
            )
            told = [
                describe(answer) if isinstance(answer, MetaApiError) else "accepted"
                for answer in answers
            ]
            self._report.note("reconnect-rapid", "; ".join(told))
            await self._authenticated(line, self._options.patience)
        except MetaApiError as err:
            self._report.note("reconnect-rapid", f"no socket: {describe(err)}")
        finally:
            await self._leave(line)


def _name(heard: Heard) -> str:
    """Name an event, with what its flags say."""
    flags = [
        f"{key} {heard.payload[key]}"
        for key in ("connected", "authenticated")
        if isinstance(heard.payload.get(key), bool)
    ]
    return f"`{heard.kind}`" + (f" ({', '.join(flags)})" if flags else "")
