"""Run the demo until it is interrupted."""

import asyncio
import sys
import time

from .accounts import UP
from .check import check
from .client import PASSWORD, USER
from .options import Options, parse
from .runner import INTERRUPTED, run
from .stage import Demo, running


def main() -> int:
    """Run the demo; return the exit code."""
    options = parse()
    # Ctrl-C is the normal end of a demo, but an interrupted check did not pass
    return run(show(options), INTERRUPTED if options.check else 0)


async def show(options: Options) -> None:
    """Start the demo, and keep it running."""
    start = time.monotonic()
    async with running(options) as demo:
        if options.check:
            await check(demo)
            print(f"Everything works ({time.monotonic() - start:.0f} s).")
            return
        print(await greeting(demo, time.monotonic() - start), flush=True)
        await asyncio.Event().wait()


async def greeting(demo: Demo, seconds: float) -> str:
    """Return the instructions for using the demo."""
    lines = [
        f"\nUp after {seconds:.0f} s.\n",
        f"  Home Assistant    {demo.home.url}",
        f"  Log in            user {USER}, password {PASSWORD}",
    ]
    if simulator := demo.simulator:
        account = (await simulator.ids())[UP.name]
        terminal = f"{simulator.url}/simulator/accounts/{account}/terminal"
        lines += [
            f"  Break an account  on the page {simulator.url}/, or with",
            f"""                    curl -d '{{"up": false}}' {terminal}""",
            "\nAn automation reconnects terminals that drop from now on, after 10 seconds.",
        ]
    else:
        lines += [
            "\nNow add the integration: Settings, Devices & services, Add integration, MetaApi.",
            "It asks for your MetaApi token. The dashboard has a link to it, too.",
        ]
    lines.append("Ctrl-C stops the demo.\n")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
