"""Tests against servers and clients that others wrote."""
