"""Health check of a server on the same machine: ``python -m mien.web.health``.

Host and port, or the Unix socket, come from the ``MIEN_*`` variables and ``PORT``, as for ``mien serve``.
"""

import socket
import sys
from http.client import HTTPConnection, HTTPException

from mien.errors import MienError
from mien.web.settings import load_settings

SECONDS = 4

_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses to connect to if the server listens on all addresses."""


def main() -> int:
    """Request ``/healthz``.

    Returns:
        The exit status: 0 if the server answers with status 200, else 1.
    """
    try:
        settings = load_settings()
        connection = HTTPConnection(_HERE.get(settings.host, settings.host), settings.port, timeout=SECONDS)
        if settings.unix_socket is not None:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(SECONDS)
            connection.sock.connect(str(settings.unix_socket))
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (MienError, OSError, HTTPException) as error:
        print(f"mien: {error}", file=sys.stderr)
        return 1
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
