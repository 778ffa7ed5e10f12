"""What older releases of the test plugin need on a newer Home Assistant."""
