"""Clients that read the same frames: the least that can be done, a library, MetaApi's own SDK, ours.

Each has a `connect`, which opens the sockets of a number of accounts and calls back for each account
whose broker goes away.
"""

SOCKET = "ws/?transport=websocket&auth-token=bench&protocol=3"
ACCOUNTS_PER_SOCKET = 100
COUNTS = (10, 100, 1000)
"""So many accounts a client has, in turn."""


def sockets_for(accounts: int) -> int:
    """Return how many sockets a number of accounts takes."""
    return -(-accounts // ACCOUNTS_PER_SOCKET)
