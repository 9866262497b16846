"""Origins as browsers write them: ``https://example.org``, with a port unless it is the scheme's default."""

from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


def origin_of(text: str) -> str:
    """Normalise an origin as browsers do.

    >>> origin_of("https://Example.org:443/")
    'https://example.org'

    Raises:
        ValueError: If no browser can send it: its scheme is not http or https, or it has no host, a path, a
            query or a wildcard.
    """
    parts = urlsplit(text)
    if parts.scheme not in PORTS or not parts.hostname or "*" in text or parts.path.strip("/") or parts.query:
        raise ValueError(
            f"{text!r} is no origin; write each as browsers send it, such as https://example.org"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
