"""``run.json``: what an annotated collection was made with, and how far it is."""

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
"""Those that a result depends on, and their modules: they may have come under another name, or frozen."""


@dataclass(slots=True)
class Counts:
    """Of a collection so far.

    Attributes:
        photos: Looked at, the failed ones included.
        failed: That could not be read.
        without_faces: That could be read and show none.
        faces: Found.
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
    """What a collection is made with.

    Attributes:
        options: By the names of the command's options.
        model: SHA-256 of the model's file.
        detector: SHA-256 of the detector's file; None for a detector without one.
        versions: Of the packages that a result depends on.
        device: What the model runs on; another one may go on with it.
    """

    options: Mapping[str, Any]
    model: str
    detector: str | None
    versions: Mapping[str, str]
    device: str

    @classmethod
    def of(cls, looker: Looker) -> "Record":
        """That of this run."""
        detector = getattr(looker.predictor.detector, "path", None)
        return cls(
            looker.options(),
            _hash(looker.predictor.model.path),
            None if detector is None else _hash(detector),
            {name: import_module(module).__version__ for name, module in PACKAGES.items()},
            looker.predictor.device,
        )

    def to_json(self, counts: Counts, *, finished: bool) -> bytes:
        """The content of the file; a run is finished when it has come to the end of its sources."""
        content = {"kind": "annotation", "schema": VERSION, **asdict(self), "counts": asdict(counts)}
        content["finished"] = finished
        return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"

    def check_against(self, earlier: bytes, output: str) -> None:
        """Refuse to add to a collection what was made with something else; versions and devices may differ.

        Args:
            earlier: The file's content.
            output: Where the collection is, for the message.

        Raises:
            DataError: If it is not the record of a collection, or one of the options or files was another.
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
    """An option as it is written on a command line."""
    flag = {"thresholds": "threshold"}.get(name, name).replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    if value is None or value == []:
        return f"no --{flag}"
    values = value if isinstance(value, list) else [value]
    return " ".join(f"--{flag} {single}" for single in values)


def _hash(path: str | os.PathLike[str]) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
