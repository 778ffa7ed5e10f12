"""Run the demo until somebody ends it."""

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
    """Run; return 0 unless something went wrong."""
    options = parse()
    # Ctrl-C is how a demo ends; a check that was interrupted has shown nothing
    return run(show(options), INTERRUPTED if options.check else 0)


async def show(options: Options) -> None:
    """Start the demo, and keep it up."""
    start = time.monotonic()
    async with running(options) as demo:
        if options.check:
            await check(demo)
            print(f"All as it should be ({time.monotonic() - start:.0f} s).")
            return
        print(await greeting(demo, time.monotonic() - start), flush=True)
        await asyncio.Event().wait()


async def greeting(demo: Demo, seconds: float) -> str:
    """Return what a person needs to use it."""
    lines = [
        f"\nUp after {seconds:.0f} s.\n",
        f"  Home Assistant    {demo.home.url}",
        f"  Log in            user {USER}, password {PASSWORD}",
    ]
    if simulator := demo.simulator:
        account = (await simulator.ids())[UP.name]
        terminal = f"{simulator.url}/simulator/accounts/{account}/terminal"
        lines += [
            f"  Break an account  {simulator.url}/ is a page with buttons for that, or",
            f"""                    curl -d '{{"up": false}}' {terminal}""",
            "\nWhat drops from now on, an automation reconnects after 10 seconds.",
        ]
    else:
        lines += [
            "\nNow add the integration: Settings, Devices & services, Add integration, MetaApi.",
            "It asks for your MetaApi token. The dashboard has a link to it, too.",
        ]
    lines.append("Ctrl-C ends all of it.\n")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
