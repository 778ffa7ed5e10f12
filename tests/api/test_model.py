"""What is read from the provisioning API's JSON, whatever it holds."""

from typing import Any

from api.model import Account, Replica, ServerSettings
import pytest


def test_account() -> None:
    """Every field that MetaApi documents."""
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
    assert account.platform == "MT5"


@pytest.mark.parametrize("data", [None, 5, "acc", [], {}, {"_id": ""}, {"_id": None}])
def test_no_account(data: Any) -> None:
    """Without an id there is no account, and no replica."""
    assert Account.from_json(data) is None
    assert Replica.from_json(data) is None


@pytest.mark.parametrize("odd", [None, True, 1.5, [], {}])
def test_odd_fields(odd: Any) -> None:
    """A field that is not what it should be is as if it were missing."""
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
    """A name without a letter says nothing."""
    assert Account(account_id="acc", name=name).title == title


@pytest.mark.parametrize(
    "data", [None, [], "text", {}, {"hostname": 5.5, "domain": ""}]
)
def test_no_settings(data: Any) -> None:
    """What is missing keeps its default."""
    assert ServerSettings.from_json(data) == ServerSettings(
        hostname="mt-client-api-v1", domain="agiliumtrade.ai"
    )


def test_settings() -> None:
    """A server of the customer's own."""
    settings = ServerSettings.from_json({"hostname": "mine", "domain": "example.org"})
    assert (settings.hostname, settings.domain) == ("mine", "example.org")
