"""A client that openapi-python-client makes of the OpenAPI document, against a real server."""

import io
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from live import live

from mien.predictor import Predictor
from mien.web.app import create_app
from mien.web.settings import Settings

pytest.importorskip("openapi_python_client")

# The generator writes what it has read of a picture in an answer only where it is told that these are bytes.
CONFIG = "post_hooks: []\ncontent_type_overrides:\n  image/jpeg: application/octet-stream\n"


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[str]:
    with live(create_app(Settings(model=tiny_model))) as address:
        yield address


@pytest.fixture(scope="module")
def package(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of the generated package."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "config.yml").write_text(CONFIG)
    (folder / "openapi.json").write_bytes(httpx.get(f"{server}/openapi.json").content)
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json"]
    command += ["--output-path", "mien_rest", "--meta", "none", "--config", "config.yml", "--fail-on-warning"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    yield "mien_rest"
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def client(package: str, server: str) -> Iterator[Any]:
    with import_module(package).Client(base_url=server) as client:
        yield client


def operation(package: str, name: str) -> Any:
    return import_module(f"{package}.api.{name}")


def model(package: str, name: str) -> Any:
    return getattr(import_module(f"{package}.models"), name)


def file(package: str, path: Path) -> Any:
    return import_module(f"{package}.types").File(io.BytesIO(path.read_bytes()), path.name, "image/jpeg")


def test_operations_and_schemas_have_short_names(package: str) -> None:
    for name in ("photos.predict", "photos.annotate", "server.model", "server.healthz", "server.readyz"):
        operation(package, name)
    names = import_module(f"{package}.models").__all__
    assert {"Photo", "Photos", "PhotoForm", "PhotosForm", "PhotoDocument", "ProblemDocument"} <= {*names}
    assert [name for name in names if "ApiV1" in name or "Body" in name] == []


def test_a_photo_is_posted_and_its_answer_read(
    package: str, client: Any, astronaut: Path, tiny_model: Path
) -> None:
    body = model(package, "PhotosForm")(photo=[file(package, astronaut)])
    answer = operation(package, "photos.predict").sync(
        client=client, body=body, thresholds=[18, 21], distribution=True
    )
    expected = Predictor(tiny_model).predict(astronaut, thresholds=(18, 21), distribution=True)
    assert answer.to_dict() == {**expected.to_json(), "photo": "astronaut.jpg"}
    assert len(answer.faces[0].landmarks) == 5
    assert sum(answer.faces[0].age.distribution) == pytest.approx(1, abs=0.01)


def test_several_photos_and_a_raw_one_are_posted(package: str, client: Any, astronaut: Path) -> None:
    predict = operation(package, "photos.predict").sync
    both = model(package, "PhotosForm")(photo=[file(package, astronaut), file(package, astronaut)])
    assert [len(photo.faces) for photo in predict(client=client, body=both).photos] == [1, 1]
    assert len(predict(client=client, body=file(package, astronaut)).faces) == 1


def test_a_drawing_comes_as_a_picture(package: str, client: Any, astronaut: Path) -> None:
    body = model(package, "PhotoForm")(photo=file(package, astronaut))
    drawing = operation(package, "photos.annotate").sync(client=client, body=body)
    assert drawing.payload.read()[:3] == b"\xff\xd8\xff"


def test_a_problem_is_read_too(package: str, client: Any) -> None:
    body = model(package, "PhotosForm")(photo=[file(package, Path(__file__))])
    problem = operation(package, "photos.predict").sync(client=client, body=body)
    assert problem.status == 400 and "is not a picture" in problem.detail
