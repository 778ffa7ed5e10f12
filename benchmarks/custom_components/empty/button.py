"""Buttons that do nothing."""

from homeassistant.components.button import (
    ButtonDeviceClass,
    ButtonEntity,
    ButtonEntityDescription as Description,
)

from . import setup_of

async_setup_entry = setup_of(
    ButtonEntity,
    Description(key="reconnect", device_class=ButtonDeviceClass.RESTART),
)
