"""Put one peer under a load and print what its process spent, as a line of JSON."""

import argparse
import asyncio
from importlib import import_module
import json
import time
from typing import Any

import aiohttp

from .peers import sockets_for
from .sampler import sampled

WARM_UP = 5_000
PARTS = 5


async def run(
    peer: str, server: str, accounts: int, load: str, amount: int, *, profile: bool
) -> dict[str, Any]:
    """Return the CPU time of this process for the cheapest part, in seconds, and where all of it went.

    What else the machine does makes a part dearer, never cheaper.
    """
    url = f"{server}/{accounts}"
    away = asyncio.Semaphore(0)

    async def flood(frames: int) -> None:
        """Return when the last frame of every socket was read."""
        await session.post(f"{url}/flood", params={"frames": frames})
        for _ in range(sockets_for(accounts)):
            await away.acquire()

    connect = import_module(f"{__package__}.peers.{peer}").connect
    async with connect(url, accounts, away.release), aiohttp.ClientSession() as session:
        await flood(WARM_UP)
        spent = []
        with sampled(profile) as samples:
            for _ in range(PARTS):
                started = time.process_time()
                if load == "flood":
                    await flood(amount)
                else:
                    await session.post(f"{url}/steady", params={"seconds": amount})
                spent.append(time.process_time() - started)
    return {"cpu": min(spent), "profile": samples.lines()}


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=("raw", "library", "sdk", "ours"))
    parser.add_argument("server")
    parser.add_argument("--accounts", type=int, default=1)
    parser.add_argument("--load", choices=("flood", "steady"), default="flood")
    parser.add_argument("--amount", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(run(**vars(options)))), flush=True)


if __name__ == "__main__":
    main()
