"""Run a simulator: `python -m simulator --port N --accounts N`."""

import argparse
import asyncio
import json
import signal
import sys

from .account import demo_accounts, plain_accounts
from .server import Simulator


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="simulator", description="MetaApi in a box")
    parser.add_argument(
        "--port", type=int, default=0, help="0 picks a free one (default)"
    )
    parser.add_argument(
        "--accounts", type=int, default=4, metavar="N", help="default 4"
    )
    parser.add_argument("--token", help="token to accept instead of a generated one")
    parser.add_argument(
        "--conditions",
        choices=("mixed", "up"),
        default="mixed",
        help="mixed: up, terminal down, broker down, undeployed, then up (default); up: all up",
    )
    parser.add_argument("--status-interval", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--ping-interval", type=float, default=25.0, metavar="SECONDS")
    parser.add_argument("--ping-timeout", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--reconnect-delay", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON at the start"
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.accounts <= 10_000:
        parser.error("--accounts must be 0 to 10000")
    if min(options.status_interval, options.ping_interval, options.ping_timeout) <= 0:
        parser.error("intervals must be more than 0")
    return options


def greeting(sim: Simulator) -> str:
    """Return the URL, the token and the accounts as readable text."""
    lines = [
        f"MetaApi simulator on {sim.url} (page there, control API under /simulator/)",
        f"Token: {sim.token}",
        "Accounts:",
    ]
    for account in sim.accounts.values():
        condition = account.connection_status if account.deployed else account.state
        lines.append(f"  {account.id}  {account.name:<12} {condition}")
    return "\n".join(lines)


def details(sim: Simulator) -> str:
    """Return the URL, the token and the accounts as JSON."""
    accounts = [
        {
            "id": each.id,
            "name": each.name,
            "state": each.state,
            "status": each.connection_status,
        }
        for each in sim.accounts.values()
    ]
    return json.dumps({"url": sim.url, "token": sim.token, "accounts": accounts})


async def run(options: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    make = demo_accounts if options.conditions == "mixed" else plain_accounts
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(
        accounts=make(options.accounts),
        token=options.token,
        port=options.port,
        status_interval=options.status_interval,
        ping_interval=options.ping_interval,
        ping_timeout=options.ping_timeout,
        reconnect_delay=options.reconnect_delay,
    ) as sim:
        print(details(sim) if options.json else greeting(sim), flush=True)
        await stop.wait()


def main() -> None:
    """Run the simulator; exit with a one-line message if the port is taken."""
    options = parse()
    try:
        asyncio.run(run(options))
    except OSError as err:
        sys.exit(f"simulator: {err.strerror or err}")


if __name__ == "__main__":
    main()
