"""Bring the demo up: the simulator, Home Assistant, the integration, its dashboard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
import json
from pathlib import Path
import socket
import sys
from typing import Any

from aiohttp import ClientSession

from homeassistant.const import RESTART_EXIT_CODE

from . import home
from .accounts import ACCOUNTS, AUTOMATION, BROKER_DOWN, DOWN, UNDEPLOYED
from .client import HomeAssistant, SimulatorServer
from .dashboard import add_dashboards, open_by_default
from .options import Options
from .processes import child, trouble
from .progress import DemoError, step, until

DEFAULT_PORT = 8123
CONFIG = "config"
LOG = "home-assistant.log"
SIMULATOR_TIMEOUT = 20.0
START_TIMEOUT = 120.0
SHOW_TIMEOUT = 30.0
HUB = "binary_sensor.metaapi_link"

SIMULATOR = (
    "simulator",
    "--json",
    *("--accounts", str(len(ACCOUNTS))),
    *("--conditions", "up"),
    *("--status-interval", "3"),
    *("--reconnect-delay", "2"),
)


@dataclass(frozen=True)
class Demo:
    """A demo that is up."""

    home: HomeAssistant
    simulator: SimulatorServer | None
    folder: Path

    @property
    def config(self) -> Path:
        """Return the configuration folder of Home Assistant."""
        return self.folder / CONFIG

    @property
    def log(self) -> Path:
        """Return the log of Home Assistant."""
        return self.folder / LOG


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Demo]:
    """Start everything, and stop it on exit."""
    async with bare(options) as demo:
        if demo.simulator:
            async with step("Adding the integration, in its own dialog"):
                await _add_accounts(demo.home, demo.simulator)
                await add_dashboards(demo.home, demo.config)
        yield demo


@asynccontextmanager
async def bare(
    options: Options, configuration: str | None = None
) -> AsyncIterator[Demo]:
    """Start everything except the integration, and stop it on exit.

    `configuration` is what Home Assistant runs in place of what the demo does.
    """
    port = choose_port(options.port)
    with home.temporary_folder() as folder:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(ClientSession())
            simulator = None
            if not options.live:
                simulator = await _start_simulator(stack, session, folder)
            url = simulator.url if simulator else None
            home.fill(folder / CONFIG, options.kind, port, url)
            if configuration is not None:
                (folder / CONFIG / "configuration.yaml").write_text(configuration)
            hass = await _start_home_assistant(stack, session, folder, port)
            if options.live:
                await open_by_default(hass)
            try:
                yield Demo(hass, simulator, folder)
            finally:
                print("  Ending all of it ...", flush=True)


def choose_port(wanted: int | None) -> int:
    """Return the wanted port (0: any free one), else the usual one if it is free, else any."""
    for port in (DEFAULT_PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as probe:
            # Like the server: a connection that only lingers does not take the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((home.HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError(f"Port {wanted} is taken.")


async def _start_simulator(
    stack: AsyncExitStack, session: ClientSession, folder: Path
) -> SimulatorServer:
    log = folder / "simulator.log"
    async with step("Starting the simulator"):
        command = [sys.executable, "-m", *SIMULATOR]
        await stack.enter_async_context(child("The simulator", command, log))
        greeting = await until(
            partial(asyncio.to_thread, _greeting, log), bool, SIMULATOR_TIMEOUT
        )
        if greeting is None:
            raise trouble("The simulator does not start.", log)
        simulator = SimulatorServer(
            session, "The simulator", greeting["url"], greeting["token"]
        )
        # A reconnect waits for a subscribe under way: keep both short
        await simulator.post("/simulator/settings", {"subscribe_timeout": 2})
        ids = await simulator.ids()
        await simulator.act(ids[BROKER_DOWN.name], "broker", up=False)
        await simulator.act(ids[UNDEPLOYED.name], "state", state="UNDEPLOYED")
    return simulator


def _greeting(log: Path) -> dict[str, Any] | None:
    """Return what the simulator prints at its start, once it does."""
    line, end, _ = log.read_text().partition("\n")
    greeting: dict[str, Any] | None = json.loads(line) if end else None
    return greeting


async def _start_home_assistant(
    stack: AsyncExitStack,
    session: ClientSession,
    folder: Path,
    port: int,
) -> HomeAssistant:
    config = folder / CONFIG
    async with step("Starting Home Assistant"):
        # Without this folder on its path: its integrations are those of its configuration
        command = [sys.executable, "-P", "-m", "homeassistant", "-c", str(config)]
        command += ["--skip-pip", "--log-no-color"]
        log = folder / LOG
        # As in its container, where the supervisor of processes starts it again
        running = child("Home Assistant", command, log, restart_code=RESTART_EXIT_CODE)
        await stack.enter_async_context(running)
        server = HomeAssistant(session, "Home Assistant", f"http://{home.HOST}:{port}")
        if not await server.start(START_TIMEOUT):
            raise trouble("Home Assistant does not start.", log)
    return server


async def _add_accounts(hass: HomeAssistant, simulator: SimulatorServer) -> None:
    """Add all accounts, and let one drop before the automation would repair it."""
    await hass.add_integration(simulator.token, simulator.url)
    await hass.wait_for(DOWN.is_on, SHOW_TIMEOUT)
    ids = await simulator.ids()
    await simulator.act(ids[DOWN.name], "terminal", up=False)
    states = await hass.wait_for(
        lambda states: all(account.is_shown(states) for account in ACCOUNTS),
        SHOW_TIMEOUT,
    )
    for account in ACCOUNTS:
        if not account.is_shown(states):
            shown = {each: states.get(each) for each in account.entity_ids}
            raise DemoError(f"{account} is not what is shown: {shown}")
    # What repairs after 10 seconds is an automation of the demo's own: nobody waits for 5 minutes there
    await hass.add_alarm(
        HUB, disconnected_for={"seconds": 3}, reconnect=False, quiet_weekend=False
    )
    await hass.act("automation", "turn_on", entity_id=AUTOMATION)
