"""MetaApi's host names on loopback, for the process of a third-party client.

That process runs in another environment, so this module imports nothing of the project.
"""

from asyncio.selector_events import BaseSelectorEventLoop
import socket
from typing import Any

HTTPS = 443


def serve_from_loopback(ports: dict[str, int]) -> None:
    """Connect each name to its port on 127.0.0.1, and refuse any other name."""
    # `connect` only gets the address from the lookup, so each name has its own address.
    addresses = {name: f"127.0.0.{number}" for number, name in enumerate(ports, 2)}
    targets = {addresses[name]: port for name, port in ports.items()}
    real_lookup = socket.getaddrinfo
    real_connect = BaseSelectorEventLoop.sock_connect

    def lookup(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name.startswith("127.0.0."):
            return real_lookup(name, port, *args, **kwargs)
        if name not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, f"not a name of MetaApi: {name}")
        return real_lookup(addresses[name], port, *args, **kwargs)

    async def connect(self: Any, sock: socket.socket, address: Any) -> None:
        host, port = address[:2]
        if port == HTTPS and host in targets:
            address = ("127.0.0.1", targets[host])
        await real_connect(self, sock, address)

    socket.getaddrinfo = lookup
    loop: Any = BaseSelectorEventLoop
    loop.sock_connect = connect
