"""The answer to a `synchronize`: the state of an account without positions and orders."""

from collections.abc import Iterator
import time
from typing import Any

from .account import SimAccount
from .messages import Request

BALANCE = 10_000.0


def account_information(account: SimAccount) -> dict[str, Any]:
    """Return the account information that the terminal shows."""
    return {
        "platform": f"mt{account.spec.version}",
        "broker": "Simulated Broker",
        "currency": "USD",
        "server": account.server,
        "login": int(account.login)
        if account.login and account.login.isdecimal()
        else 0,
        "name": account.name,
        "type": "ACCOUNT_TRADE_MODE_DEMO",
        "balance": BALANCE,
        "equity": BALANCE,
        "margin": 0.0,
        "freeMargin": BALANCE,
        "leverage": 100,
        "marginMode": "ACCOUNT_MARGIN_MODE_RETAIL_HEDGING",
        "tradeAllowed": True,
        "investorMode": False,
        "credit": 0.0,
    }


def packets(account: SimAccount, request: Request) -> Iterator[dict[str, Any]]:
    """Yield the events that answer a `synchronize`, with the complete state."""
    contents: tuple[tuple[str, dict[str, Any]], ...] = (
        ("synchronizationStarted", {}),
        ("accountInformation", {"accountInformation": account_information(account)}),
        ("specifications", {"specifications": [], "removedSymbols": []}),
        ("positions", {"positions": []}),
        ("orders", {"orders": []}),
        ("historyOrders", {"historyOrders": []}),
        ("orderSynchronizationFinished", {}),
        ("deals", {"deals": []}),
        ("dealSynchronizationFinished", {}),
    )
    # Clients order the packets by number, and drop those of an earlier start by time.
    started = time.time_ns() // 1_000_000
    for number, (kind, fields) in enumerate(contents, start=1):
        yield {
            "type": kind,
            "accountId": account.id,
            "instanceIndex": request.instance or 0,
            "host": request.host,
            "synchronizationId": request.id,
            "sequenceNumber": number,
            "sequenceTimestamp": started,
        } | fields
