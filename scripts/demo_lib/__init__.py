"""The demo: a real Home Assistant with the integration, and a simulated MetaApi."""
