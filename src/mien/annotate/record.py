"""``run.json``: the options, files and versions behind a collection, and its progress."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mien.annotate.look import Looker
from mien.annotate.schema import VERSION
from mien.errors import DataError

NAME = "run.json"

PACKAGES = {
    "mien": "mien",
    "onnxruntime": "onnxruntime",
    "numpy": "numpy",
    "pillow": "PIL",
    "pyarrow": "pyarrow",
}
"""Packages that results depend on, and their modules.

Versions come from the modules, as a package may be installed under another name or be frozen into a program.
"""


@dataclass(slots=True)
class Counts:
    """Counts of a collection so far.

    Attributes:
        photos: Number of photos that are done, failed ones included.
        failed: Number of photos that could not be read.
        without_faces: Number of photos that could be read and have no detected face.
        faces: Number of detected faces.
    """

    photos: int = 0
    failed: int = 0
    without_faces: int = 0
    faces: int = 0

    def add(self, faces: int, failed: bool) -> None:
        """Count a photo."""
        self.photos += 1
        self.failed += failed
        self.without_faces += not (faces or failed)
        self.faces += faces


@dataclass(frozen=True, slots=True)
class Record:
    """Options, files, versions and device that a collection is made with.

    Attributes:
        options: Options by name.
        model: SHA-256 of the model file.
        detector: SHA-256 of the detector file; None for a detector without a file.
        versions: Versions of the packages that results depend on.
        device: Device that the model runs on; a later run may use another one.
    """

    options: Mapping[str, Any]
    model: str
    detector: str | None
    versions: Mapping[str, str]
    device: str

    @classmethod
    def of(cls, looker: Looker) -> "Record":
        """The record of a run with this looker."""
        detector = getattr(looker.predictor.detector, "path", None)
        return cls(
            looker.options(),
            _hash(looker.predictor.model.path),
            None if detector is None else _hash(detector),
            {name: import_module(module).__version__ for name, module in PACKAGES.items()},
            looker.predictor.device,
        )

    def to_json(self, counts: Counts, *, finished: bool) -> bytes:
        """The content of ``run.json``; ``finished`` tells whether the run reached the end of its sources."""
        content = {"kind": "annotation", "schema": VERSION, **asdict(self), "counts": asdict(counts)}
        content["finished"] = finished
        return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"

    def check_against(self, earlier: bytes, output: str) -> None:
        """Refuse to continue a collection that was made otherwise; versions and device may differ.

        Args:
            earlier: Content of the ``run.json`` of the collection.
            output: Place of the collection, for the message.

        Raises:
            DataError: If the content is not the record of a collection, or if the version of the schema, an
                option, the model or the detector differs.
        """
        try:
            found = json.loads(earlier)
            if found["kind"] != "annotation":
                raise KeyError("kind")
            schema, theirs = found["schema"], {**found["options"]}
            files = {"model": found["model"], "detector": found["detector"]}
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{output} has a {NAME} of something else; name another --output.") from None
        if schema != VERSION:
            raise DataError(
                f"{output} has version {schema} of the schema and this is version {VERSION}; name another "
                "--output."
            )
        ours = json.loads(json.dumps(self.options))
        for name in {**ours, **theirs}:
            value = ours.get(name)
            if theirs.get(name) != value:
                raise DataError(
                    f"{output} was begun with {_option(name, theirs.get(name))}, not with "
                    f"{_option(name, value)}; give the same options, or name another --output."
                )
        for name, value in (("model", self.model), ("detector", self.detector)):
            if files[name] != value:
                raise DataError(
                    f"{output} was begun with another file of the {name}; use that one, or name another "
                    "--output."
                )


def _option(name: str, value: object) -> str:
    """An option as written on a command line."""
    flag = {"thresholds": "threshold"}.get(name, name).replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    if value is None or value == []:
        return f"no --{flag}"
    values = value if isinstance(value, list) else [value]
    return " ".join(f"--{flag} {single}" for single in values)


def _hash(path: str | os.PathLike[str]) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
