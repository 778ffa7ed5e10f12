"""Exceptions of python-socketio."""

class SocketIOError(Exception): ...
class ConnectionError(SocketIOError): ...  # noqa: A001
