"""Do everything that users do with the integration, in a real browser."""

from pathlib import Path
import sys

from scripts.demo_lib.options import Options
from scripts.demo_lib.runner import INTERRUPTED, run
from scripts.demo_lib.stage import bare
from scripts.setup_env.steps import ROOT

from .actions import use_the_action
from .automation import build_an_automation, see_it_run
from .blueprints import use_the_blueprints
from .browser import open_page
from .count import count
from .dashboard import (
    add_the_dashboard,
    be_asked_first,
    be_told_why_not,
    find_no_button,
    look_at_it_on_a_phone,
    reconnect_on_the_dashboard,
)
from .diagnostics import download_the_diagnostics
from .draw import draw
from .guests import (
    add_an_account_beside_an_outage,
    connect_with_little_permission,
    leave_forms_open,
)
from .options import parse
from .phone import Phone
from .restart import restart_amid_an_outage
from .setup import add_the_integration, log_in, look_at_the_device
from .token import replace_a_refused_token, replace_a_token_in_time
from .walk import Walk

IMAGES = ROOT / "docs" / "images"

STEPS = (
    log_in,
    connect_with_little_permission,
    add_the_integration,
    look_at_the_device,
    add_an_account_beside_an_outage,
    add_the_dashboard,
    reconnect_on_the_dashboard,
    be_asked_first,
    find_no_button,
    look_at_it_on_a_phone,
    be_told_why_not,
    leave_forms_open,
    replace_a_refused_token,
    replace_a_token_in_time,
    use_the_blueprints,
    restart_amid_an_outage(
        use_the_action,
        download_the_diagnostics,
        build_an_automation,
        see_it_run,
    ),
)


def main() -> int:
    """Run the command; return 0 on success."""
    options = parse()
    folder = options.to.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    if options.count:
        return run(count(folder), INTERRUPTED)
    if options.draw:
        return run(draw(options.draw, folder), INTERRUPTED)
    return run(walk(folder, IMAGES if options.images else None), INTERRUPTED)


async def walk(folder: Path, images: Path | None) -> None:
    """Run all steps, starting from a Home Assistant without the integration."""
    async with (
        bare(Options(port=0)) as demo,
        open_page() as page,
        Phone.registered(demo.home) as phone,
    ):
        walk = Walk(demo, page, phone, folder, images)
        await walk.begin()
        for step in STEPS:
            await step(walk)
        walk.end()


if __name__ == "__main__":
    sys.exit(main())
