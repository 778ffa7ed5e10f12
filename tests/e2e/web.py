"""A temporary web server on this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from scripts.demo_lib.home import HOST


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Run a web server and yield its URL."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
