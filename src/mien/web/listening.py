"""The socket that a server listens on."""

import errno
import os
import socket
import sys
from pathlib import Path

from mien.errors import ServerError
from mien.web.connections import BACKLOG
from mien.web.settings import Settings

FIRST_PASSED = 3
"""Number of the first file descriptor that systemd passes on (sd_listen_fds(3))."""

AIRPLAY = (
    " On a Mac, AirPlay's receiver listens on port 5000; use --port 5001, or switch it off under General, "
    "AirDrop & Handoff."
)


def listener_for(settings: Settings) -> socket.socket:
    """Open the socket to listen on: the one that systemd passes on, else a Unix or a TCP socket.

    Raises:
        ServerError: If the address does not exist or is in use.
    """
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS", "0") != "0":
        return socket.socket(fileno=FIRST_PASSED)
    if settings.unix_socket is not None:
        return _listen_at(settings.unix_socket)
    return listen(settings.host, settings.port)


def listen(host: str, port: int) -> socket.socket:
    """Open a TCP socket to listen on; ``::`` also accepts IPv4.

    Raises:
        ServerError: If the address does not exist or is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        made = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        texts: dict[int, str] = getattr(socket, "errorTab", {})  # Windows has its own socket error numbers
        number = error.errno or 0
        reason = texts.get(number, os.strerror(number)).lower() if number > 0 else "no such host"
        hint = AIRPLAY if (sys.platform, port, error.errno) == ("darwin", 5000, errno.EADDRINUSE) else ""
        raise ServerError(
            f"Port {port} of {host} cannot be listened on ({reason}); choose another --port or --host.{hint}"
        ) from None
    # asyncio disables Nagle's algorithm, which would delay answers, only if the socket's protocol is TCP.
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, fileno=made.detach())


def _listen_at(path: Path) -> socket.socket:
    """Open a Unix socket to listen on; replace a socket file that no server listens on.

    Raises:
        ServerError: If the system has no Unix sockets, or the socket cannot be opened.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise ServerError("Python has no Unix sockets on this system; use --host and --port.")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _answers(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ServerError(
            f"{path} cannot be listened on ({error.strerror or error}); choose another --unix-socket."
        ) from None
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
