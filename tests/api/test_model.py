"""Test parsing the provisioning API's JSON, including invalid content."""

from typing import Any

from api.model import Account, Replica, ServerSettings
import pytest


def test_account() -> None:
    """Every documented field is read."""
    account = Account.from_json(
        {
            "_id": "acc",
            "name": " Swing ",
            "login": 90210,
            "server": "Broker-Live",
            "version": 5,
            "type": "cloud-g2",
            "region": "london",
            "state": "DEPLOYED",
            "connectionStatus": "CONNECTED",
            "accountReplicas": [
                {"_id": "twin", "region": "new-york", "state": "UNDEPLOYED"},
                {"region": "nowhere"},
                "no replica",
            ],
        }
    )
    twin = Replica(account_id="twin", region="new-york", state="UNDEPLOYED")
    assert account == Account(
        account_id="acc",
        name="Swing",
        login="90210",
        server="Broker-Live",
        version=5,
        type="cloud-g2",
        region="london",
        state="DEPLOYED",
        connection_status="CONNECTED",
        replicas=(twin,),
    )
    assert account.deployed
    assert not twin.deployed
    assert account.platform == "MetaTrader 5"


@pytest.mark.parametrize("data", [None, 5, "acc", [], {}, {"_id": ""}, {"_id": None}])
def test_no_account(data: Any) -> None:
    """There is no account and no replica without an id."""
    assert Account.from_json(data) is None
    assert Replica.from_json(data) is None


@pytest.mark.parametrize("odd", [None, True, 1.5, [], {}])
def test_odd_fields(odd: Any) -> None:
    """A field with an invalid value counts as missing."""
    fields = (
        *("name", "login", "server", "version", "type", "region", "state"),
        *("connectionStatus", "accountReplicas"),
    )
    data = {"id": "acc"} | dict.fromkeys(fields, odd)
    account = Account.from_json(data)
    assert account == Account(account_id="acc")
    assert not account.deployed
    assert account.platform == ""


@pytest.mark.parametrize(
    ("name", "title"), [("Swing", "Swing"), ("", "acc"), ("123 !", "acc"), ("Ж", "Ж")]
)
def test_title(name: str, title: str) -> None:
    """A name without letters is ignored."""
    assert Account(account_id="acc", name=name).title == title


@pytest.mark.parametrize(
    "data", [None, [], "text", {}, {"hostname": 5.5, "domain": ""}]
)
def test_no_settings(data: Any) -> None:
    """Missing settings keep their defaults."""
    assert ServerSettings.from_json(data) == ServerSettings(
        hostname="mt-client-api-v1", domain="agiliumtrade.ai"
    )


def test_settings() -> None:
    """The server settings of a customer are read."""
    settings = ServerSettings.from_json({"hostname": "mine", "domain": "example.org"})
    assert (settings.hostname, settings.domain) == ("mine", "example.org")


@pytest.mark.parametrize("account_id", ["a b", "../x", "x" * 65, "\ud83d", "a\nb", "é"])
def test_what_is_no_id(account_id: str) -> None:
    """An account with an invalid id is ignored, since ids are part of paths and unique ids."""
    assert Account.from_json({"_id": account_id}) is None
    assert Replica.from_json({"_id": account_id}) is None


def test_replicas_are_bounded() -> None:
    """MetaApi never has more replicas than regions."""
    replicas = [{"_id": f"r{number}"} for number in range(300)]
    account = Account.from_json({"_id": "abc", "accountReplicas": replicas})
    assert account is not None
    assert len(account.replicas) == 16


@pytest.mark.parametrize("version", [0, -4, 3, 6, 10**4000, True, 4.0, "5"])
def test_unknown_version(version: Any) -> None:
    """MetaTrader has two versions."""
    account = Account.from_json({"_id": "abc", "version": version})
    assert account is not None
    assert account.platform == ""


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"name": "Swing"}, "Swing"),
        ({"name": "...", "login": "90210", "server": "Live"}, "90210 · Live"),
        ({"name": "", "login": 90210}, "90210"),
        ({"name": "\U0001f680"}, "abc"),
        ({"login": 10**4000}, "abc"),
    ],
)
def test_title_when_read(fields: dict[str, Any], title: str) -> None:
    """The title is the name, or login and server if it has no letters, or the id."""
    account = Account.from_json({"_id": "abc", **fields})
    assert account is not None
    assert account.title == title
