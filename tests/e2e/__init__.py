"""End-to-end test: a user at a browser, a real Home Assistant, and the simulator."""
