"""The end-to-end check: a person at a browser, a real Home Assistant, and the simulator."""
