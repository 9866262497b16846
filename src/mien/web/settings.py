"""What the server can be told: ``MIEN_*`` variables, and the flags of ``mien serve``."""

import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mien.defaults import DEFAULT_DETECTOR
from mien.errors import ServerError

List = Annotated[tuple[str, ...], NoDecode]
"""In a variable or flag: values separated by commas."""


class Settings(BaseSettings):
    """How the server runs; every field is a ``MIEN_*`` variable and a flag of ``mien serve``."""

    model_config = SettingsConfigDict(env_prefix="MIEN_", frozen=True, extra="forbid")

    host: str = Field(
        default="127.0.0.1", description="Address to listen on; 0.0.0.0 lets other machines in."
    )
    port: int = Field(default=5000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    model: Path | None = Field(default=None, description="Model file; the one included if not given.")
    detectors: List = Field(
        default=(DEFAULT_DETECTOR,),
        min_length=1,
        description="Detectors a request may name, the default one first; yunet:PATH is named yunet.",
    )
    coverage: float = Field(
        default=0.9, gt=0, lt=1, description="Probability with which age intervals hold the labelled age."
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Photos in work at a time."
    )
    queue: int = Field(
        default=32, ge=1, description="Photos that may wait for their turn; beyond, requests get 503."
    )
    max_upload_mb: float = Field(
        default=32, gt=0, description="Largest request, all its photos together, in MB."
    )
    max_held_mb: float = Field(
        default=512, gt=0, description="Uploads held in memory at once, in MB; beyond, requests get 503."
    )
    max_megapixels: float = Field(
        default=50, gt=0, le=100, description="Largest photo, in millions of pixels."
    )
    max_files: int = Field(default=16, ge=1, description="Photos in one request.")
    max_faces: int = Field(default=100, ge=1, description="Faces in one photo.")
    upload_seconds: float = Field(default=60, gt=0, description="Time for a request to arrive.")
    answer_seconds: float = Field(
        default=30, gt=0, description="Time for a request to be answered, waiting included."
    )
    shutdown_seconds: int = Field(
        default=30, ge=0, description="Time for what is under way when the server is stopped."
    )
    cors_origins: List = Field(
        default=(), description="Origins whose pages may use the API, such as https://example.org."
    )

    @field_validator("detectors", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

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
        """What a request may call its detector, the default one first."""
        return tuple(detector.partition(":")[0] for detector in self.detectors)

    @property
    def max_upload(self) -> int:
        """Bytes of the largest request."""
        return int(self.max_upload_mb * 10**6)

    @property
    def max_held(self) -> int:
        """Bytes of uploads held at once."""
        return int(self.max_held_mb * 10**6)

    @property
    def max_pixels(self) -> int:
        """Pixels of the largest photo."""
        return int(self.max_megapixels * 10**6)


def load_settings(**given: Any) -> Settings:
    """Settings from what is given and, for the rest, from the ``MIEN_*`` variables.

    Raises:
        ServerError: If one of them is wrong; the sentence names it.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        names = [str(part) for part in first["loc"][:1]]
        flag = "".join(f"--{name.replace('_', '-')} (MIEN_{name.upper()}): " for name in names)
        raise ServerError(f"{flag}{first['msg'].removeprefix('Value error, ')}.") from None
