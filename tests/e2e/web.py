"""A web server for this machine, while it is needed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from scripts.demo_lib.home import HOST


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve, and yield the address."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
