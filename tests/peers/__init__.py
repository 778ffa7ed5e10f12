"""Tests against third-party servers and clients."""
