"""Test a real Home Assistant through its public API: who may reconnect, and which accounts a target means.

It is a separate process of the installed release without any mocks; the simulator counts the requests that reach it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
import pytest

from homeassistant.const import MAJOR_VERSION, MINOR_VERSION
from scripts.demo_lib.accounts import BROKER_DOWN, DOWN, UNDEPLOYED, UP
from scripts.demo_lib.client import HomeAssistant, SimulatorServer
from scripts.demo_lib.options import Options
from scripts.demo_lib.progress import until
from scripts.demo_lib.stage import HUB, bare

CONFIGURATION = """\
homeassistant:
  language: en
api:
automation: !include automations.yaml
config:
# No page is looked at: an empty folder will do, and the tests' environments have no frontend
frontend:
  development_repo: {folder}
logger:
  default: warning
websocket_api:
"""
ACCOUNTS = (UP, DOWN, BROKER_DOWN, UNDEPLOYED)
SWING, SCALPER, GOLD, OWL = (account.name for account in ACCOUNTS)
ALL = {SWING, SCALPER, GOLD, OWL}
PATIENCE = 60.0
GUEST = {"username": "guest", "password": "only looks"}

type Target = dict[str, Any]

pytestmark = [pytest.mark.usefixtures("socket_enabled"), pytest.mark.timeout(300)]
needs_exclude = pytest.mark.skipif(
    (MAJOR_VERSION, MINOR_VERSION) < (2026, 11),
    reason="Home Assistant 2026.11 brought `exclude`",
)


@dataclass
class Live:
    """A running home, the simulated cloud, and the home's registry IDs."""

    home: HomeAssistant
    simulator: SimulatorServer
    devices: dict[str, str] = field(default_factory=dict)
    """Device IDs by account name, and that of the hub as `hub`."""
    areas: dict[str, str] = field(default_factory=dict)
    floors: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    async def reconnects(self) -> dict[str, int]:
        """Return how many reconnect requests have reached the cloud, by account."""
        state = await self.simulator.get("/simulator/state")
        return {each["name"]: each["reconnects"] for each in state["accounts"]}

    async def set_terminals(self, *, up: bool) -> None:
        """Drop or restore all terminals, and wait until Home Assistant shows it."""
        for account_id in (await self.simulator.ids()).values():
            await self.simulator.act(account_id, "terminal", up=up)
        await self.wait_for(*ALL, value="on" if up else "off")

    async def wait_for(self, *names: str, value: str) -> None:
        """Wait until the terminals of some accounts have a state."""
        ids = [each.terminal_id for each in ACCOUNTS if each.name in names]

        def is_shown(states: Mapping[str, str]) -> bool:
            return all(states.get(each) == value for each in ids)

        assert is_shown(await self.home.wait_for(is_shown, PATIENCE))

    async def reconnect(self, target: Target) -> dict[str, Any]:
        """Perform the action as the frontend does, and return the complete response."""
        return await self.home.answer(
            "call_service",
            domain="metaapi",
            service="reconnect",
            target=target,
            service_data={"timeout": 30},
            return_response=True,
        )


@asynccontextmanager
async def living(folder: Path, port: int) -> AsyncIterator[Live]:
    """Start home and cloud, add all accounts, and assign them to areas and labels."""
    (folder / "hass_frontend").mkdir()
    async with bare(Options(port), CONFIGURATION.format(folder=folder)) as demo:
        assert demo.simulator
        live = Live(demo.home, demo.simulator)
        settings = {"reconnect_delay": 0.05, "status_interval": 1.0}
        await live.simulator.post("/simulator/settings", settings)
        ids = await live.simulator.ids()
        await live.simulator.act(ids[GOLD], "broker", up=True)
        await live.simulator.act(ids[OWL], "state", state="DEPLOYED")
        await live.home.add_integration(live.simulator.token, live.simulator.url)
        await live.wait_for(*ALL, value="on")
        await furnish(live)
        yield live
    # Leave no thread behind
    await asyncio.get_running_loop().shutdown_default_executor()


async def furnish(live: Live) -> None:
    """Create floors, areas and labels, and assign the devices to them.

    The desk and the hall are on the ground floor, the attic is above. The hub's device is in the attic and has
    the label `Own`. So does one hidden entity of the account Night Owl, but not its device.
    """
    command = live.home.command
    for name in ("Ground", "Upper"):
        made = await command("config/floor_registry/create", name=name)
        live.floors[name] = made["floor_id"]
    for name, floor in (
        ("Desk", "Ground"),
        ("Hall", "Ground"),
        ("Attic", "Upper"),
        ("Empty", "Upper"),
    ):
        made = await command(
            "config/area_registry/create", name=name, floor_id=live.floors[floor]
        )
        live.areas[name] = made["area_id"]
    for name in ("Prop", "Own"):
        made = await command("config/label_registry/create", name=name)
        live.labels[name] = made["label_id"]
    hub = await command("config/entity_registry/get", entity_id=HUB)
    live.devices["hub"] = hub["device_id"]
    for account in ACCOUNTS:
        entity = await command(
            "config/entity_registry/get", entity_id=account.terminal_id
        )
        live.devices[account.name] = entity["device_id"]
    for name, area, label in (
        (SWING, "Desk", "Prop"),
        (SCALPER, "Hall", "Prop"),
        (GOLD, "Attic", "Own"),
        ("hub", "Attic", "Own"),
    ):
        await command(
            "config/device_registry/update",
            device_id=live.devices[name],
            area_id=live.areas[area],
            labels=[live.labels[label]],
        )
    await command(
        "config/entity_registry/update",
        entity_id=UNDEPLOYED.broker_id,
        area_id=live.areas["Attic"],
        labels=[live.labels["Own"]],
        hidden_by="user",
    )


async def log_in(home: HomeAssistant, session: ClientSession) -> HomeAssistant:
    """Create a read-only user, log in as that user, and return a client of the home for the user."""
    made = await home.command(
        "config/auth/create", name="Guest", group_ids=["system-read-only"]
    )
    await home.command(
        "config/auth_provider/homeassistant/create", user_id=made["user"]["id"], **GUEST
    )
    guest = HomeAssistant(session, "Home Assistant", home.url)
    client = {"client_id": f"{home.url}/"}
    flow = await guest.post(
        "/auth/login_flow",
        client | {"handler": ["homeassistant", None], "redirect_uri": f"{home.url}/"},
    )
    flow = await guest.post(f"/auth/login_flow/{flow['flow_id']}", client | GUEST)
    grant = {"grant_type": "authorization_code", "code": flow["result"]}
    tokens = await guest.ask("POST", "/auth/token", data=client | grant)
    guest.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    # The kind of token that a script of this user would have
    lasting = await guest.command(
        "auth/long_lived_access_token", client_name="A script", lifespan=1
    )
    guest.headers = {"Authorization": f"Bearer {lasting}"}
    return guest


async def test_read_only_user(tmp_path: Path, unused_tcp_port: int) -> None:
    """A read-only user cannot reconnect or notify, whatever the target; an administrator can."""
    async with living(tmp_path, unused_tcp_port) as live:
        home = live.home
        guest = await log_in(home, home.session)
        assert (await guest.command("auth/current_user"))["is_admin"] is False
        assert len(await guest.states()) == len(await home.states())
        targets = {
            "entity": {"entity_id": UP.terminal_id},
            "button": {"entity_id": UP.button_id},
            "device": {"device_id": live.devices[SWING]},
            "hub": {"device_id": live.devices["hub"]},
            "all": {"entity_id": "all"},
            "area": {"area_id": live.areas["Desk"]},
            "floor": {"floor_id": live.floors["Ground"]},
            "label": {"label_id": live.labels["Prop"]},
        }
        before = await live.reconnects()
        # How Home Assistant itself refuses an action of another integration
        pressed = await guest.answer(
            "call_service",
            domain="button",
            service="press",
            target={"entity_id": UP.button_id},
        )
        assert not pressed["success"]
        assert pressed["error"]["message"] == "Unauthorized"

        for name, target in targets.items():
            answer = await guest.answer(
                "call_service", domain="metaapi", service="reconnect", target=target
            )
            assert not answer["success"], name
            assert answer["error"] == pressed["error"], name
            async with home.session.post(
                f"{home.url}/api/services/metaapi/reconnect",
                headers=guest.headers,
                json=target,
            ) as response:
                assert response.status == 401, name
        notified = await guest.answer(
            "call_service",
            domain="metaapi",
            service="notify",
            service_data={"message": "Hello", "entities": ["notify.phone"]},
        )
        assert notified["error"] == pressed["error"]
        assert await live.reconnects() == before

        # The same calls succeed for an administrator
        for name, target in targets.items():
            answer = await live.reconnect(target)
            assert answer["success"], (name, answer)
        await home.act("button", "press", entity_id=UP.button_id)
        after = await live.reconnects()
        assert {name for name in ALL if after[name] > before[name]} == ALL
        assert after[SWING] == before[SWING] + len(targets) + 1


def includes(live: Live) -> dict[str, tuple[Target, set[str]]]:
    """Return targets and the accounts that each one means."""
    return {
        "all": ({"entity_id": "all"}, ALL),
        "the hub's device": ({"device_id": live.devices["hub"]}, ALL),
        "the hub's entity": ({"entity_id": HUB}, ALL),
        "entities": (
            {"entity_id": [UP.status_id, DOWN.button_id, BROKER_DOWN.broker_id]},
            {SWING, SCALPER, GOLD},
        ),
        "devices": (
            {"device_id": [live.devices[SWING], live.devices[OWL]]},
            {SWING, OWL},
        ),
        # The hub's device is here, too
        "an area": ({"area_id": live.areas["Attic"]}, {GOLD, OWL}),
        "areas": (
            {"area_id": [live.areas["Attic"], live.areas["Hall"]]},
            {SCALPER, GOLD, OWL},
        ),
        "a floor": ({"floor_id": live.floors["Ground"]}, {SWING, SCALPER}),
        "a label": ({"label_id": live.labels["Prop"]}, {SWING, SCALPER}),
        "a label of the hub": ({"label_id": live.labels["Own"]}, {GOLD, OWL}),
        "several kinds": (
            {"label_id": live.labels["Own"], "entity_id": [UP.terminal_id]},
            {SWING, GOLD, OWL},
        ),
    }


def excludes(live: Live) -> dict[str, tuple[Target, set[str]]]:
    """Return exclusions and the accounts that each one removes."""
    return {
        "an entity": ({"entity_id": [UP.terminal_id]}, {SWING}),
        "all entities of a device": ({"entity_id": [*UP.entity_ids]}, {SWING}),
        "a device": ({"device_id": [live.devices[SCALPER]]}, {SCALPER}),
        "a floor": ({"floor_id": [live.floors["Ground"]]}, {SWING, SCALPER}),
        "an area": ({"area_id": [live.areas["Hall"]]}, {SCALPER}),
        # Night Owl is here only through a hidden entity
        "an area of the hub": ({"area_id": [live.areas["Attic"]]}, {GOLD, OWL}),
        "an area of nobody": ({"area_id": [live.areas["Empty"]]}, set()),
        "a label": ({"label_id": [live.labels["Own"]]}, {GOLD, OWL}),
        "the hub": ({"device_id": [live.devices["hub"]]}, ALL),
        "several kinds": (
            {
                "device_id": [live.devices[GOLD]],
                "area_id": [live.areas["Desk"]],
            },
            {SWING, GOLD},
        ),
    }


@needs_exclude
async def test_exclude(tmp_path: Path, unused_tcp_port: int) -> None:
    """Every kind of exclusion works on every kind of target, by the response and by what reaches the cloud."""
    async with living(tmp_path, unused_tcp_port) as live:
        for name, (target, meant) in includes(live).items():
            assert await reconnected(live, target) == meant, name
        for (including, (target, meant)), (excluding, (excluded, taken)) in product(
            includes(live).items(), excludes(live).items()
        ):
            found = await reconnected(live, {**target, "exclude": excluded})
            assert found == meant - taken, f"{including} without {excluding}"
        # Home Assistant itself refuses a nested exclusion
        nested = {"entity_id": "all", "exclude": {"exclude": {"entity_id": [HUB]}}}
        answer = await live.reconnect(nested)
        assert answer["error"]["code"] == "invalid_format"


async def reconnected(live: Live, target: Target) -> set[str]:
    """Perform the action, check that exactly its accounts reached the cloud, and return their names."""
    before = await live.reconnects()
    answer = await live.reconnect(target)
    after = await live.reconnects()
    reached = {name: after[name] - before[name] for name in ALL}
    if not answer["success"]:
        assert answer["error"]["translation_key"] == "no_account_in_target", answer
        assert not any(reached.values())
        return set()
    ended = answer["result"]["response"]["accounts"]
    assert {each["outcome"] for each in ended} == {"authenticated"}, ended
    names = {each["name"] for each in ended}
    assert reached == {name: int(name in names) for name in ALL}
    return names


@needs_exclude
async def test_exclude_in_automations(tmp_path: Path, unused_tcp_port: int) -> None:
    """Triggers and conditions of saved automations exclude the same accounts as the action does."""
    async with living(tmp_path, unused_tcp_port) as live:
        home = live.home
        hub = {"device_id": [live.devices["hub"]]}
        # Home Assistant's notifications about missing parts of this environment
        others = {*await home.notifications()}
        wanted: set[str] = set()
        for name, (excluded, taken) in excludes(live).items():
            if taken == ALL:
                # A trigger without any account raises a repair issue instead
                continue
            await save(
                home,
                name,
                {
                    "trigger": "metaapi.disconnected",
                    "target": {**hub, "exclude": excluded},
                },
            )
            wanted |= {f"{name}: {account}" for account in ALL - taken}
        # Triggered last: once its notifications exist, all others do too
        await save(home, "last", {"trigger": "metaapi.connected", "target": hub})
        last = {f"last: {account}" for account in ALL}

        await live.set_terminals(up=False)
        for excluded, taken in excludes(live).values():
            target = {**hub, "exclude": excluded}
            for kind, holds in (
                ("is_disconnected", taken != ALL),
                ("is_connected", False),
            ):
                assert await condition(home, kind, target) is holds, (kind, excluded)
        await live.set_terminals(up=True)
        shown = await until(
            home.notifications, lambda titles: last <= {*titles}, PATIENCE
        )
        assert {*shown} - others == wanted | last

        # With one terminal down, the condition depends on whether that account is excluded
        ids = await live.simulator.ids()
        await live.simulator.act(ids[SWING], "terminal", up=False)
        await live.wait_for(SWING, value="off")
        for excluded, taken in excludes(live).values():
            target = {**hub, "exclude": excluded}
            holds = SWING not in taken
            assert await condition(home, "is_disconnected", target) is holds, excluded


async def condition(home: HomeAssistant, kind: str, target: Target) -> bool:
    """Return whether a condition holds, tested as the automation editor does."""
    tested = {
        "condition": f"metaapi.{kind}",
        "target": target,
        "options": {"behavior": "any"},
    }
    answer = await home.command("test_condition", condition=tested)
    return bool(answer["result"])


async def save(home: HomeAssistant, name: str, trigger: dict[str, Any]) -> None:
    """Save an automation that notifies with the name of the account that triggered it."""
    title = f"{name}: {{{{ trigger.account }}}}"
    await home.post(
        f"/api/config/automation/config/{name.replace(' ', '_')}",
        {
            "alias": name,
            "mode": "queued",
            "max": 20,
            "triggers": [trigger],
            "actions": [
                {
                    "action": "persistent_notification.create",
                    "data": {
                        "title": title,
                        "notification_id": title,
                        "message": "{{ trigger.message }}",
                    },
                }
            ],
        },
    )
