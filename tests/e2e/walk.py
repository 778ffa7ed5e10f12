"""A walk: a sequence of steps, and the checks after each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
import re
import time

from playwright.async_api import Error, Page

from scripts.demo_lib.accounts import DemoAccount
from scripts.demo_lib.client import HomeAssistant, SimulatorServer
from scripts.demo_lib.progress import DemoError, step
from scripts.demo_lib.stage import Demo

from .guard import Guard
from .phone import Phone


class Walk:
    """What the steps share."""

    def __init__(
        self, demo: Demo, page: Page, phone: Phone, folder: Path, images: Path | None
    ) -> None:
        """Store a Home Assistant, a browser page, a phone, and the folders for screenshots."""
        assert demo.simulator
        self.page = page
        self.phone = phone
        self.config = demo.config
        self.home: HomeAssistant = demo.home
        self.simulator: SimulatorServer = demo.simulator
        self.token = demo.simulator.token
        self.guard = Guard(page, demo)
        self._folder = folder
        self._images = images
        self._count = 0
        self._began = time.monotonic()

    async def begin(self) -> None:
        """Start the guard."""
        await self.guard.begin(self.token)

    def end(self) -> None:
        """Print that all steps succeeded."""
        print(
            f"All as it should be: {self._count} steps in "
            f"{time.monotonic() - self._began:.0f} s. Screenshots: {self._folder}"
        )

    @asynccontextmanager
    async def step(
        self, title: str, *, image: str | None = None
    ) -> AsyncIterator[None]:
        """Run a step, check the page, and take a screenshot; `image` names another one for the documentation."""
        self._count += 1
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        shot = self._folder / f"{self._count:02}-{name}.png"
        try:
            async with step(f"{self._count:2}. {title}"):
                yield
                await self.guard.check()
                await self.shoot(shot)
        except (Error, AssertionError, DemoError) as err:
            failure = self._folder / "failure.png"
            await self.page.screenshot(path=failure)
            raise DemoError(
                f"{title}: {err}\nWhat there was to see: {failure}"
            ) from err
        if image and self._images:
            self._images.mkdir(parents=True, exist_ok=True)
            await self.shoot(self._images / f"{image}.png")

    async def shoot(self, path: Path) -> None:
        """Take a screenshot once the page is idle."""
        await self.page.mouse.move(0, 0)
        await self.page.wait_for_load_state("networkidle")
        await self.page.screenshot(path=path, animations="disabled")

    async def go(self, path: str) -> None:
        """Open a page of Home Assistant."""
        await self.page.goto(f"{self.home.url}{path}")

    async def renew_token(self, lifetime: int) -> str:
        """Return a new token that expires after this number of seconds."""
        expires = int(time.time()) + lifetime
        answer = await self.simulator.post(
            "/simulator/tokens/grant", {"expires": expires}
        )
        self.token = answer["token"]
        self.guard.keep_secret(self.token)
        return self.token

    async def set_terminal(self, account: DemoAccount, *, up: bool) -> None:
        """Drop a terminal, or bring it back without a reconnect."""
        ids = await self.simulator.ids()
        await self.simulator.act(ids[account.name], "terminal", up=up)

    async def set_broker(self, account: DemoAccount, *, up: bool) -> None:
        """Disconnect a terminal from its broker, or connect it again."""
        ids = await self.simulator.ids()
        await self.simulator.act(ids[account.name], "broker", up=up)
