"""A custom integration for the end-to-end test that compiles statistics on request."""

from datetime import timedelta

from homeassistant.components.recorder import get_instance
from homeassistant.components.recorder.tasks import StatisticsTask
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType
from homeassistant.util import dt as dt_util

DOMAIN = "statistics_now"
CONFIG_SCHEMA = cv.empty_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the action."""

    async def async_compile(_call: ServiceCall) -> None:
        """Compile the last five minutes and the current ones, as Home Assistant does when they end.

        It does so ten seconds later: until then nothing is known of the last ones, and those that follow would
        count from there.
        """
        now = dt_util.utcnow()
        start = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)
        recorder = get_instance(hass)
        recorder.queue_task(StatisticsTask(start - timedelta(minutes=5), False))
        recorder.queue_task(StatisticsTask(start, False))
        await recorder.async_block_till_done()

    hass.services.async_register(DOMAIN, "compile", async_compile)
    return True
