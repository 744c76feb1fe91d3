"""What a supervisor is told: ready, alive, stopping, and one line of how things stand (systemd's sd_notify)."""

import socket
from contextlib import suppress


class Supervisor:
    """Tells whoever listens on `NOTIFY_SOCKET`; without one, and when nobody listens, telling costs nothing."""

    def __init__(self, address: str | None) -> None:
        self._address = None if address is None else "\0" + address[1:] if address.startswith("@") else address
        self._is_ready = False

    def ready(self) -> None:
        """The first pass is complete; said once."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def alive(self) -> None:
        """The loop has come round."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Draining has begun."""
        self._send("STOPPING=1")

    def status(self, line: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={line}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(message.encode(), self._address)
