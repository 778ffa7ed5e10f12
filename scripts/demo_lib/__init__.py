"""The demo: a real Home Assistant with the integration, and a MetaApi that can be broken."""
