"""Make the test plugin start on a Home Assistant that is newer than the plugin.

Load it with `-p tests.compat.newest -p no:respx`, so that it comes before the installed plugins.
"""

# First: it puts `httpx2` in the place of `httpx`, which the plugin's `respx` imports
import homeassistant  # noqa: F401, I001

from homeassistant.components import logger
from homeassistant.components.logger import helpers

# The plugin takes them from where they were before
MOVED = ("_clear_logger_overwrites",)

for name in MOVED:
    if not hasattr(logger, name):
        setattr(logger, name, getattr(helpers, name))
