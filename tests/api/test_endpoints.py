"""Test the URLs of servers, and the validation of custom base URLs."""

from api.endpoints import (
    Endpoints,
    InvalidUrlError,
    Zone,
    check_api_url,
)
from api.model import ServerSettings
import pytest

GLOBAL = "https://mt-client-api-v1.agiliumtrade.agiliumtrade.ai"


def test_global_url_is_that_of_the_seed_page() -> None:
    """Accounts of an unknown region use the URL in MetaApi's example."""
    assert Endpoints().global_zone == Zone(GLOBAL)
    assert Endpoints().zones("") == (Zone(GLOBAL),)


def test_provisioning_url() -> None:
    """REST has its own host."""
    expected = "https://mt-provisioning-api-v1.agiliumtrade.agiliumtrade.ai"
    assert Endpoints().provisioning_url == expected


def test_zones_of_a_region() -> None:
    """A region has two zones, a with instance 0 and b with instance 1."""
    assert Endpoints().zones("london") == (
        Zone("https://mt-client-api-v1.london-a.agiliumtrade.ai", "london", 0),
        Zone("https://mt-client-api-v1.london-b.agiliumtrade.ai", "london", 1),
    )
    assert [zone.name for zone in Endpoints().zones("new-york")] == [
        "new-york-a",
        "new-york-b",
    ]
    assert Endpoints().global_zone.name == "global"


def test_settings_of_a_dedicated_server() -> None:
    """MetaApi's settings define host and domain, but not the global URL."""
    endpoints = Endpoints(
        settings=ServerSettings(hostname="mine", domain="example.com")
    )
    assert [zone.url for zone in endpoints.zones("london")] == [
        "https://mine.london-a.example.com",
        "https://mine.london-b.example.com",
    ]
    assert endpoints.global_zone.url == GLOBAL


@pytest.mark.parametrize("region", ["", "london"])
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "https://proxy.example/metaapi"]
)
def test_api_url_serves_everything(url: str, region: str) -> None:
    """A custom server serves REST and the socket, has no zones, and keeps its path."""
    endpoints = Endpoints(api_url=url)
    assert endpoints.provisioning_url == url
    assert endpoints.zones(region) == (Zone(url),)
    assert endpoints.zones(region)[0].instance is None
    assert endpoints.global_zone.url == url


def test_overrides() -> None:
    """Tests can define the zones of a region."""
    zones = (Zone("http://127.0.0.1:1", "here", 0),)
    endpoints = Endpoints(api_url="http://127.0.0.1:2", overrides={"here": zones})
    assert endpoints.zones("here") == zones
    assert endpoints.zones("there") == (Zone("http://127.0.0.1:2"),)


GOOD = {
    "http://localhost": "http://localhost",
    "http://localhost:8080/": "http://localhost:8080",
    "http://LOCALHOST:8080": "http://LOCALHOST:8080",
    "HTTP://127.0.0.1": "http://127.0.0.1",
    "http://127.8.9.10:1": "http://127.8.9.10:1",
    "http://192.168.1.5:8123": "http://192.168.1.5:8123",
    "http://10.0.0.1/a/b/": "http://10.0.0.1/a/b",
    "http://172.16.0.1": "http://172.16.0.1",
    "http://[::1]:8080": "http://[::1]:8080",
    "http://[fd00::5]": "http://[fd00::5]",
    "http://[fe80::5]": "http://[fe80::5]",
    "http://169.254.3.4": "http://169.254.3.4",
    "http://[::ffff:192.168.1.5]": "http://[::ffff:192.168.1.5]",
    "http://[::ffff:127.0.0.1]": "http://[::ffff:127.0.0.1]",
    "https://example.com": "https://example.com",
    "https://example.com:8443/metaapi/": "https://example.com:8443/metaapi",
    "https://metaapi.local": "https://metaapi.local",
    "https://8.8.8.8": "https://8.8.8.8",
    "  https://example.com/ \n": "https://example.com",
}


@pytest.mark.parametrize(("text", "url"), GOOD.items())
def test_valid_api_url(text: str, url: str) -> None:
    """A base URL loses its trailing slash, and the result is valid again."""
    assert check_api_url(text) == url
    assert check_api_url(url) == url


BAD = [
    "",
    " ",
    "/",
    "localhost",
    "localhost:8080",
    "127.0.0.1:8080",
    "//localhost",
    "http://",
    "https://",
    "https:///path",
    "http:localhost",
    "https://:8080",
    "ftp://localhost",
    "ws://localhost",
    "wss://example.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "http://example.com",
    "http://metaapi.local",
    "http://homeassistant",
    "http://8.8.8.8",
    "http://[2001:4860:4860::8888]",
    "http://[::ffff:8.8.8.8]",
    "http://0.0.0.0:8080",
    "http://[2002:808:808::1]",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "http://[64:ff9b::808:808]",
    "http://[64:ff9b:1::808:808]",
    "http://240.0.0.1",
    "http://255.255.255.255",
    "http://198.18.0.1",
    "http://192.0.2.1",
    "http://100.64.0.1",
    "http://[2001:db8::1]",
    "http://224.0.0.1",
    "http://[ff02::1]",
    "http://[::ffff:198.18.0.1]",
    "http://[::]:8080",
    "http://2130706433",
    "http://127.1",
    "http://0x7f.1",
    "http://127.0.0.1.example.com",
    "http://localhost.example.com",
    "http://localhost@example.com",
    "http://example.com\\@localhost",
    "https://user@example.com",
    "https://user:password@example.com",
    "https://:password@example.com",
    "https://example.com?auth-token=x",
    "https://example.com/ws#there",
    "https://example.com:port",
    "https://example.com:99999",
    "https://example.com:-1",
    "https://[::1",
    "https://exa mple.com",
    "https://example.com/a b",
    "https://exam\nple.com",
    "https://exam\tple.com",
]


@pytest.mark.parametrize("text", BAD)
def test_invalid_api_url(text: str) -> None:
    """Invalid URLs, and those that would send the token unencrypted, are refused."""
    with pytest.raises(InvalidUrlError):
        check_api_url(text)
