"""Support for a Home Assistant that is newer than the test plugin."""
