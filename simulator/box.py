"""All parts of a simulator except its ports."""

from .access import Access
from .cloud import Cloud
from .engine import Engine
from .rest import Rest
from .settings import Settings
from .sockets import Sockets
from .upstream import Upstream


class Box:
    """The parts that serve requests, and those that tests and people control."""

    def __init__(self, settings: Settings) -> None:
        """Start without accounts and tokens."""
        self.settings = settings
        self.cloud = Cloud(settings)
        self.engine = Engine(settings, self.cloud, self.cloud.tokens)
        self.rest = Rest(settings, self.cloud)
        self.upstream = Upstream(self.cloud)
        self.sockets = Sockets(settings, self.cloud, self.engine, self.rest)
        self.access = Access(self.cloud, self.sockets)
