"""Which URL serves which region and zone.

Sources: the seed page (global URL), SDK behavior (region and zone hosts).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
import ipaddress
import re
from urllib.parse import urlsplit

from .model import ServerSettings

GLOBAL_URL = "https://mt-client-api-v1.agiliumtrade.agiliumtrade.ai"
PROVISIONING_URL = "https://mt-provisioning-api-v1.agiliumtrade.agiliumtrade.ai"
ZONE_LETTERS = ("a", "b")

_NEAR = tuple(
    map(
        ipaddress.ip_network,
        (
            *("127.0.0.0/8", "::1/128"),  # loopback
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
            "fc00::/7",  # unique local
            *("169.254.0.0/16", "fe80::/10"),  # link-local
        ),
    )
)
"""Networks that plain http may go to. Others that no router forwards may hold a public address, such as 6to4."""

_LABEL = re.compile(r"[a-z0-9-]{1,60}")
"""What may become a part of the host that gets the token."""


class InvalidUrlError(ValueError):
    """The text is not a base URL that the token may be sent to."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One place that serves accounts: a region's zone, or a single server for everything."""

    url: str
    region: str = ""
    instance: int | None = None
    """Instance number that requests must carry and events may carry; None where there are no zones."""

    @property
    def name(self) -> str:
        """Return a short name for diagnostics."""
        if self.instance is None:
            return self.region or "global"
        return f"{self.region}-{ZONE_LETTERS[self.instance]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """All addresses that one token uses."""

    api_url: str | None = None
    """One base URL that serves REST and the socket (a simulator, a proxy)."""
    settings: ServerSettings = field(default_factory=ServerSettings)
    overrides: Mapping[str, tuple[Zone, ...]] = field(default_factory=dict)
    """Zones by region, for tests."""

    @property
    def provisioning_url(self) -> str:
        """Return the base URL of the provisioning API."""
        return self.api_url or PROVISIONING_URL

    def kind(self, zone: Zone) -> str:
        """Return what kind of server a zone is, without its address."""
        if self.api_url:
            return "api_url"
        if zone.instance is None:
            return "global"
        default = ServerSettings().hostname
        return "regional" if self.settings.hostname == default else "dedicated"

    @property
    def global_zone(self) -> Zone:
        """Return the server of the seed page, which knows no zones."""
        return Zone(self.api_url or GLOBAL_URL)

    def zones(self, region: str) -> tuple[Zone, ...]:
        """Return the zones that can serve an account of a region ("" when the region is not known)."""
        if region in self.overrides:
            return self.overrides[region]
        if self.api_url or not _LABEL.fullmatch(region):
            return (self.global_zone,)
        return tuple(
            Zone(
                f"https://{self.settings.hostname}.{region}-{letter}.{self.settings.domain}",
                region,
                instance,
            )
            for instance, letter in enumerate(ZONE_LETTERS)
        )


def check_api_url(text: str) -> str:
    """Return a base URL without a trailing slash.

    Plain http is taken only for `localhost` and for literal loopback or private addresses, since the
    token travels in the URL. Raises InvalidUrlError for anything else.
    """
    try:
        parts = urlsplit(text.strip())
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise InvalidUrlError("not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidUrlError("not an http or https URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidUrlError("user, query and fragment have no place here")
    if any(char.isspace() for char in text.strip()):
        raise InvalidUrlError("not a URL")
    if parts.scheme == "http" and not _is_near(host):
        raise InvalidUrlError("plain http to a public host")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _is_near(host: str) -> bool:
    """Return whether a host is this machine or a literal private address."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in _NEAR)
