"""What the demo asks of Home Assistant and of the simulator, over HTTP as anybody would."""

from collections.abc import Callable
from typing import Any

from aiohttp import ClientError, ClientSession

from .progress import DemoError, until

USER = "demo"
PASSWORD = "demo"


class Server:
    """Something that speaks JSON over HTTP."""

    def __init__(self, session: ClientSession, name: str, url: str) -> None:
        """Store the address."""
        self.session = session
        self.name = name
        self.url = url
        self.headers: dict[str, str] = {}

    async def ask(
        self, method: str, path: str, *, is_json: bool = True, **kwargs: Any
    ) -> Any:
        """Send a request and return its answer; raises `DemoError`."""
        try:
            async with self.session.request(
                method, f"{self.url}{path}", headers=self.headers, **kwargs
            ) as answer:
                if answer.ok:
                    return await (answer.json() if is_json else answer.text())
                text = f"{answer.status}: {(await answer.text())[:500]}"
        except ClientError as err:
            raise DemoError(f"{self.name} does not answer at {path}: {err}") from err
        raise DemoError(f"{self.name} answers at {path} with {text}")

    async def get(self, path: str) -> Any:
        """Get JSON."""
        return await self.ask("GET", path)

    async def post(self, path: str, body: Any = None) -> Any:
        """Post JSON."""
        return await self.ask("POST", path, json={} if body is None else body)


class SimulatorServer(Server):
    """The control API of the simulator."""

    def __init__(self, session: ClientSession, name: str, url: str, token: str) -> None:
        """Store the address, and the token that it accepts from the integration."""
        super().__init__(session, name, url)
        self.token = token

    async def ids(self) -> dict[str, str]:
        """Return the account ids by name."""
        state = await self.get("/simulator/state")
        return {account["name"]: account["id"] for account in state["accounts"]}

    async def act(self, account_id: str, action: str, **body: Any) -> None:
        """Break or repair an account."""
        await self.post(f"/simulator/accounts/{account_id}/{action}", body)


class HomeAssistant(Server):
    """The REST and WebSocket API of Home Assistant."""

    async def start(self, timeout: float) -> bool:
        """Make the user as soon as it answers; return whether it has started in time."""
        if not await until(self._answers, bool, timeout):
            return False
        await self._make_user()
        return await until(self._is_running, bool, timeout)

    async def _answers(self) -> bool:
        try:
            await self.get("/api/onboarding")
        except DemoError:
            return False
        return True

    async def wait_for_restart(self, timeout: float) -> None:
        """Wait until it has stopped and has started again."""
        if await until(self._is_running, lambda running: not running, timeout):
            raise DemoError(f"{self.name} does not stop.")
        if not await until(self._is_running, bool, timeout):
            raise DemoError(f"{self.name} does not start again.")

    async def _is_running(self) -> bool:
        try:
            return bool((await self.get("/api/config"))["state"] == "RUNNING")
        except DemoError:
            return False

    async def _make_user(self) -> None:
        """Do what the first form of a new Home Assistant does, which logs in."""
        client = {"client_id": f"{self.url}/"}
        user = {"name": "Demo", "username": USER, "password": PASSWORD}
        answer = await self.post(
            "/api/onboarding/users", client | user | {"language": "en"}
        )
        grant = {"grant_type": "authorization_code", "code": answer["auth_code"]}
        tokens = await self.ask("POST", "/auth/token", data=client | grant)
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}

    async def command(self, kind: str, **fields: Any) -> Any:
        """Send a command over the WebSocket API; return its result."""
        try:
            answer = await self.answer(kind, **fields)
        except (ClientError, TypeError) as err:
            raise DemoError(f"{self.name} does not answer to {kind}: {err}") from err
        if not answer["success"]:
            raise DemoError(f"{self.name} refuses {kind}: {answer['error']}")
        return answer["result"]

    async def answer(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a command over the WebSocket API; return the answer, an error too."""
        async with self.session.ws_connect(f"{self.url}/api/websocket") as socket:
            await socket.receive_json()
            token = self.headers["Authorization"].removeprefix("Bearer ")
            await socket.send_json({"type": "auth", "access_token": token})
            await socket.receive_json()
            await socket.send_json({"id": 1, "type": kind, **fields})
            answer: dict[str, Any] = await socket.receive_json()
            return answer

    async def act(self, domain: str, action: str, **data: Any) -> None:
        """Perform an action."""
        await self.post(f"/api/services/{domain}/{action}", data)

    async def states(self) -> dict[str, str]:
        """Return the state of each entity."""
        return {
            each["entity_id"]: each["state"] for each in await self.get("/api/states")
        }

    async def wait_for(
        self, condition: Callable[[dict[str, str]], object], timeout: float
    ) -> dict[str, str]:
        """Wait until the states meet a condition or the time is over; return the last ones."""
        return await until(self.states, condition, timeout)

    async def notifications(self) -> dict[str, str]:
        """Return the texts of the notifications in the sidebar, by title."""
        shown = await self.command("persistent_notification/get")
        return {each["title"]: each["message"] for each in shown}

    async def add_alarm(self, hub: str, **inputs: Any) -> None:
        """Make an automation of the blueprint, for all accounts of a hub."""
        entity = await self.command("config/entity_registry/get", entity_id=hub)
        await self.post(
            "/api/config/automation/config/metaapi_demo_alarm",
            {
                "alias": "Watch my terminals",
                "use_blueprint": {
                    "path": "metaapi/watch_my_terminals.yaml",
                    "input": {"accounts": [entity["device_id"]], **inputs},
                },
            },
        )

    async def add_integration(self, token: str, api_url: str) -> None:
        """Go through the config flow and choose all accounts, as a person would."""
        flow = "/api/config/config_entries/flow"
        form = await self.post(flow, {"handler": "metaapi"})
        flow = f"{flow}/{_form(form, 'user')['flow_id']}"
        form = await self.post(flow, {"token": token, "advanced": {"api_url": api_url}})
        offered = _field(_form(form, "accounts"), "accounts")["selector"]["select"]
        chosen = [option["value"] for option in offered["options"]]
        result = await self.post(flow, {"accounts": chosen})
        if result["type"] != "create_entry":
            raise DemoError(f"The config flow did not end well: {result}")


def _form(answer: dict[str, Any], step: str) -> dict[str, Any]:
    """Return a form if it is the one that should come, without an error in it."""
    if answer["type"] != "form" or answer["step_id"] != step or answer.get("errors"):
        raise DemoError(f"The config flow should show its step {step!r}, not {answer}")
    return answer


def _field(form: dict[str, Any], name: str) -> dict[str, Any]:
    """Return how a form describes a field."""
    found: dict[str, Any] = next(
        field for field in form["data_schema"] if field["name"] == name
    )
    return found
