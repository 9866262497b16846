"""Settings of the server, from ``MIEN_*`` variables and the flags of ``mien serve``."""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mien.errors import ServerError
from mien.pipeline.device_names import Device
from mien.processors import processors
from mien.request import DEFAULT_DETECTOR
from mien.web.origins import origin_of

List: TypeAlias = tuple[str, ...]
"""Values; separated by commas in a variable or flag."""


class Settings(BaseModel):
    """Settings of the server; :func:`load_settings` also reads the ``MIEN_*`` variables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; 0.0.0.0 lets other machines in, :: by IPv6 as well.",
    )
    port: int = Field(
        default=5000,
        ge=0,
        le=65535,
        description="Port to listen on; 0 takes a free one. The variable PORT works, too.",
    )
    unix_socket: Path | None = Field(
        default=None, description="Path of a Unix socket to listen on, instead of host and port."
    )
    allowed_hosts: List = Field(
        default=(),
        description="Host names that the server answers to, such as mien.example.org or *.example.org; * for "
        "any.",
    )
    model: Path | None = Field(
        default=None,
        description="Model file, or one of the included models, small or open; small if not given.",
    )
    device: Device = Field(
        default="cpu",
        description="Device that the model runs on: auto, cpu, cuda, coreml, directml or openvino.",
    )
    detectors: List = Field(
        default=(DEFAULT_DETECTOR,),
        min_length=1,
        description="Detectors that a request may name, the default one first; yunet:PATH is named yunet.",
    )
    coverage: float = Field(
        default=0.9, gt=0, lt=1, description="Probability that age intervals cover the labelled age."
    )
    workers: int = Field(
        default_factory=processors, ge=1, description="Number of photos processed at a time."
    )
    queue: int = Field(
        default=128, ge=1, description="Number of photos that may wait; beyond that, requests get 503."
    )
    max_upload_mb: float = Field(
        default=32, gt=0, description="Largest request, all its photos together, in MB."
    )
    max_held_mb: float = Field(
        default=512, gt=0, description="Uploads held in memory at once, in MB; beyond that, requests get 503."
    )
    max_megapixels: float = Field(
        default=50,
        gt=0,
        le=100,
        description="Largest photo, in millions of pixels; a JPEG may have four times as many.",
    )
    max_files: int = Field(default=16, ge=1, description="Largest number of photos in one request.")
    max_faces: int = Field(default=100, ge=1, description="Largest number of faces in one photo.")
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Largest number of connections; beyond that, an idle one is closed.",
    )
    upload_seconds: float = Field(default=60, gt=0, description="Time for a request to arrive.")
    answer_seconds: float = Field(
        default=30, gt=0, description="Time for a request to be answered, waiting included."
    )
    shutdown_seconds: int = Field(
        default=30, ge=0, description="Time to finish requests in progress when the server is stopped."
    )
    cors_origins: List = Field(
        default=(), description="Origins whose pages may use the API, such as https://example.org."
    )
    frame_origins: List = Field(default=(), description="Origins whose pages may show the page in a frame.")
    trusted_proxies: List = Field(
        default=("127.0.0.1", "::1"),
        description="Addresses or networks of proxies whose X-Forwarded headers are trusted; * for any.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Format of the log: text, or json with one object per line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged: debug, info, warning or error."
    )

    @field_validator(
        "detectors", "allowed_hosts", "cors_origins", "frame_origins", "trusted_proxies", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("cors_origins", "frame_origins")
    @classmethod
    def _as_browsers_write(cls, origins: List) -> List:
        return tuple(origin if origin == "*" else origin_of(origin) for origin in origins)

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, addresses: List) -> List:
        for address in addresses:
            if address != "*":
                ip_network(address, strict=False)
        return addresses

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = self.detector_names
        if len(set(names)) < len(names):
            raise ValueError(f"detectors are named twice: {', '.join(names)}")
        if self.max_files > self.queue:
            raise ValueError("max_files must not be larger than queue, or a request could never be answered")
        return self

    @property
    def detector_names(self) -> tuple[str, ...]:
        """Names of the detectors for requests, the default one first."""
        return tuple(detector.partition(":")[0] for detector in self.detectors)

    @property
    def max_upload(self) -> int:
        """Maximum size of a request in bytes."""
        return int(self.max_upload_mb * 10**6)

    @property
    def max_held(self) -> int:
        """Maximum number of bytes of uploads in memory."""
        return int(self.max_held_mb * 10**6)

    @property
    def max_pixels(self) -> int:
        """Maximum number of pixels of a photo."""
        return int(self.max_megapixels * 10**6)


def load_settings(**given: Any) -> Settings:
    """Load settings from the arguments and, for the rest, from the ``MIEN_*`` variables.

    An empty value counts as not given.

    Raises:
        ServerError: If a setting is wrong; the message names it.
    """
    try:
        return Settings(**_variables() | {name: value for name, value in given.items() if value != ""})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        names = [str(part) for part in first["loc"][:1]]
        flag = "".join(f"--{name.replace('_', '-')} (MIEN_{name.upper()}): " for name in names)
        raise ServerError(f"{flag}{first['msg'].removeprefix('Value error, ')}.") from None


def _variables() -> dict[str, str]:
    """The settings in environment variables.

    Hosting platforms give the port in ``PORT``. Kubernetes sets ``MIEN_PORT=tcp://ADDRESS:PORT`` in every pod
    if there is a Service named mien; such a value is not a port to listen on and is ignored.
    """
    values = {name.upper(): value.strip() for name, value in os.environ.items() if value.strip()}
    ports = [values.get("MIEN_PORT", ""), values.get("PORT", "")]
    port = next((port for port in ports if port and "://" not in port), "")
    named = {name: values.get(f"MIEN_{name.upper()}", "") for name in Settings.model_fields} | {"port": port}
    return {name: value for name, value in named.items() if value}
