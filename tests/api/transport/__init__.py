"""Tests of bytes and sockets."""
