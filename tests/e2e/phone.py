"""A simulated phone with the Home Assistant app, for notifications only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from scripts.demo_lib.client import HomeAssistant
from scripts.demo_lib.progress import DemoError, until

from .browser import TIMEOUT
from .web import serving

NAME = "Pocket Phone"


class Phone:
    """Receives messages and presses their buttons."""

    def __init__(self, home: HomeAssistant) -> None:
        """Start without messages."""
        self._home = home
        self.messages: list[dict[str, Any]] = []
        self._webhook = ""

    @classmethod
    @asynccontextmanager
    async def registered(cls, home: HomeAssistant) -> AsyncIterator[Phone]:
        """Register the phone as the app does, and yield it."""
        phone = cls(home)
        app = web.Application()
        app.router.add_post("/push", phone._receive)
        async with serving(app) as url:
            answer = await home.post(
                "/api/mobile_app/registrations",
                {
                    "app_data": {"push_token": "phone", "push_url": f"{url}/push"},
                    "app_id": "phone",
                    "app_name": "Phone",
                    "app_version": "1",
                    "device_id": "phone",
                    "device_name": NAME,
                    "manufacturer": "Nobody",
                    "model": "None",
                    "os_name": "None",
                    "os_version": "1",
                    "supports_encryption": False,
                },
            )
            phone._webhook = f"/api/webhook/{answer['webhook_id']}"
            yield phone

    async def _receive(self, request: web.Request) -> web.Response:
        self.messages.append(await request.json())
        return web.json_response({}, status=201)

    def clear(self) -> None:
        """Forget the received messages."""
        self.messages.clear()

    async def wait_for(self, text: str) -> dict[str, Any]:
        """Wait for a message whose title begins with a text, and return it."""
        found = await until(lambda: self._find(text), bool, TIMEOUT / 1000)
        if not found:
            raise DemoError(f"The phone has {self.messages}, and not {text!r}")
        return found

    async def _find(self, text: str) -> dict[str, Any]:
        return next(
            (each for each in self.messages if each["title"].startswith(text)), {}
        )

    async def press(self, message: dict[str, Any], title: str) -> None:
        """Press a button of a message."""
        (action,) = [
            each["action"]
            for each in message["data"]["actions"]
            if each["title"] == title
        ]
        event = {
            "event_type": "mobile_app_notification_action",
            "event_data": {"action": action},
        }
        await self._home.post(self._webhook, {"type": "fire_event", "data": event})
