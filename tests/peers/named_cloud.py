"""A simulator with MetaApi's host names and TLS, and the SDKs that connect to it."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from simulator import Simulator

from .tls import authority

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venvs" / "sdk" / "bin" / "python"
NODE = ROOT / ".venvs" / "node" / "node"
MODULES = ROOT / ".venvs" / "node" / "node_modules"
HERE = Path(__file__).parent

PROVISIONING = "mt-provisioning-api-v1.agiliumtrade.agiliumtrade.ai"
CLIENT = "mt-client-api-v1"
DOMAIN = "agiliumtrade.ai"
LETTERS = "ab"

DEADLINE = 60.0
"""Seconds that a busy machine may take to start an SDK and synchronize."""


@dataclass
class NamedCloud:
    """A simulator, and the URLs of MetaApi's host names."""

    sim: Simulator
    urls: dict[str, str]
    ca: Path

    @property
    def ports(self) -> dict[str, int]:
        """Return the port of each host name."""
        return {name: int(url.rsplit(":", 1)[1]) for name, url in self.urls.items()}

    def zone(self, region: str, letter: str) -> str:
        """Return the simulator's URL of a zone's server."""
        return self.urls[f"{CLIENT}.{region}-{letter}.{DOMAIN}"]


@asynccontextmanager
async def named_cloud(
    folder: Path, sim: Simulator, regions: tuple[str, ...] = ("london",)
) -> AsyncIterator[NamedCloud]:
    """Serve REST, each region and each zone on its own port."""
    names = [PROVISIONING]
    for region in regions:
        names += [f"{CLIENT}.{region}.{DOMAIN}"]
        names += [f"{CLIENT}.{region}-{letter}.{DOMAIN}" for letter in LETTERS]
    ca, context = authority(folder, names)
    async with sim:
        urls = {PROVISIONING: await sim.listen(ssl=context)}
        for region in regions:
            urls[f"{CLIENT}.{region}.{DOMAIN}"] = await sim.listen(
                region, None, ssl=context
            )
            for instance, letter in enumerate(LETTERS):
                urls[f"{CLIENT}.{region}-{letter}.{DOMAIN}"] = await sim.listen(
                    region, instance, ssl=context
                )
        yield NamedCloud(sim, urls, ca)


class Sdk:
    """An SDK in its own process, and its reports."""

    def __init__(self, process: Process) -> None:
        """Store the started process."""
        self.process = process
        self.reports: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def until(
        self, event: str, *, start: int = 0, timeout: float = DEADLINE, **fields: Any
    ) -> dict[str, Any]:
        """Return the first report from index `start` on that has these fields."""
        wanted = {"event": event} | fields
        async with asyncio.timeout(timeout):
            while True:
                for report in self.reports[start:]:
                    if wanted.items() <= report.items():
                        return report
                start = len(self.reports)
                assert not self._reading.done(), f"it ended without {wanted}"
                self._news.clear()
                await self._news.wait()

    async def states(self) -> dict[str, dict[str, Any]]:
        """Return the current states that the SDK shows, by account."""
        start = len(self.reports)
        assert self.process.stdin is not None
        self.process.stdin.write(b"state\n")
        (listed,) = [each for each in self.reports if each["event"] == "accounts"]
        return {
            each["id"]: await self.until("state", start=start, account=each["id"])
            for each in listed["accounts"]
        }

    async def end(self) -> None:
        """End the process."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    async def _read(self) -> None:
        """Store the reports; an SDK also prints its log to stdout."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.startswith(b'{"event"'):
                self.reports.append(json.loads(line))
            self._news.set()
        self._news.set()


@asynccontextmanager
async def sdk(
    kind: str,
    cloud: NamedCloud,
    folder: Path,
    states: tuple[str, ...] = ("DEPLOYED",),
) -> AsyncIterator[Sdk]:
    """Start one of MetaApi's SDKs for the accounts in some states."""
    options = json.dumps(
        {"token": cloud.sim.token, "ports": cloud.ports, "states": states}
    )
    if kind == "python":
        command = [str(PYTHON), str(HERE / "sdk_streaming.py"), options]
        env = {"SSL_CERT_FILE": str(cloud.ca), "PYTHONDONTWRITEBYTECODE": "1"}
    else:
        command = [str(NODE), str(HERE / "node" / "sdk_streaming.js"), options]
        env = {"NODE_EXTRA_CA_CERTS": str(cloud.ca), "NODE_PATH": str(MODULES)}
    process = await asyncio.create_subprocess_exec(
        *command,
        # The SDK writes a folder to its working directory.
        cwd=folder,
        env=env,
        stdin=PIPE,
        stdout=PIPE,
        stderr=None,
        limit=2**20,
    )
    peer = Sdk(process)
    try:
        yield peer
    finally:
        await peer.end()
