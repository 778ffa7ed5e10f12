"""Bytes and sockets; nothing here knows an account."""
