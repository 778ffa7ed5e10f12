"""Put one peer under the loads that it is told, and print what each cost its process."""

import argparse
import asyncio
from importlib import import_module
import time
from typing import Any

import aiohttp

from .peers import sockets_for
from .sampler import sampled
from .turns import serve, tell

WARM_UP = 5_000


async def run(peer: str, server: str, accounts: int, *, profile: bool) -> None:
    """Measure the CPU time of this process for each load."""
    url = f"{server}/{peer}/{accounts}"
    away = asyncio.Semaphore(0)

    async def flood(frames: int) -> dict[str, Any]:
        """Return what a frame cost, from the first until the last of every socket was read."""
        started = time.process_time()
        await session.post(f"{url}/flood", params={"frames": frames})
        for _ in range(sockets_for(accounts)):
            await away.acquire()
        return {"flood": (time.process_time() - started) / frames}

    async def steady(seconds: int) -> dict[str, Any]:
        """Return what a second cost."""
        started = time.process_time()
        await session.post(f"{url}/steady", params={"seconds": seconds})
        return {"steady": (time.process_time() - started) / seconds}

    connect = import_module(f"{__package__}.peers.{peer}").connect
    async with connect(url, accounts, away.release), aiohttp.ClientSession() as session:
        await flood(WARM_UP)
        with sampled(profile) as samples:
            tell({})
            await serve({"flood": flood, "steady": steady})
    tell({"profile": samples.lines()})


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=("raw", "library", "sdk", "ours"))
    parser.add_argument("server")
    parser.add_argument("--accounts", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    asyncio.run(run(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
