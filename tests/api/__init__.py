"""Tests of the client, which load it without Home Assistant."""
