"""Names that the modules of the integration share."""

from datetime import timedelta
import logging

DOMAIN = "metaapi"
LOGGER = logging.getLogger(__package__)

CONF_ACCOUNT_ID = "account_id"
CONF_ACCOUNTS = "accounts"
CONF_ADVANCED = "advanced"
CONF_API_URL = "api_url"
CONF_APPLICATION = "application"
CONF_REGION = "region"
CONF_SERVER = "server"

DEFAULT_APPLICATION = "MetaApi"
DEFAULT_TIMEOUT = 60
MAX_TIMEOUT = 300
MIN_TIMEOUT = 1
SETUP_TIMEOUT = 10

SERVICE_NOTIFY = "notify"
SERVICE_RECONNECT = "reconnect"

ATTR_MESSAGE = "message"
EVENT_OUTAGE = f"{DOMAIN}_outage"
"""An outage of an account began or ended; Activity shows it in words."""

SUBENTRY_ACCOUNT = "account"

MANUFACTURER = "MetaApi"

REREAD_DELAY = timedelta(seconds=1)
REREAD_INTERVAL = timedelta(minutes=15)
REREAD_PAUSE = timedelta(minutes=1)
REFUSED_PAUSE = timedelta(minutes=5)

WEB_APP_URL = "https://app.metaapi.cloud"
ACCOUNT_URL = f"{WEB_APP_URL}/accounts"
TOKEN_URL = f"{WEB_APP_URL}/token"

RECONNECT_ACTION = "METAAPI_RECONNECT_"
"""What stands before a device's id in the action of a message's button."""
