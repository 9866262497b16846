"""What several tests need: a tiny model, the example photo, and paths of what may be absent."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from tiny_model import build_model, tiny_metadata

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# How long a test takes is no property of the code: other work on the machine must not fail it.
settings.register_profile("patient", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=20)
settings.load_profile("patient")

ROOT = Path(__file__).parents[1]
SHARED = Path(__file__).parents[2] / "shared"

# Signals, forks, limits and tools that only POSIX has.
collect_ignore = (
    [
        "pipeline/test_telemetry.py",
        "training/test_stopping.py",
        "web/test_connections.py",
        "web/test_steady.py",
    ]
    if os.name == "nt"
    else []
)

# Training runs, worker processes, whole data sets, browsers, servers and Ray take too long to wait for
# after every change.
SLOW = {
    "test_cli_annotate.py",
    "test_cluster.py",
    "test_collection_sources.py",
    "test_connections.py",
    "test_elsewhere.py",
    "test_examples.py",
    "test_export.py",
    "test_films.py",
    "test_frozen.py",
    "test_fuzz.py",
    "test_generated_client.py",
    "test_hosts.py",
    "test_knobs.py",
    "test_live.py",
    "test_marking.py",
    "test_opencv.py",
    "test_openvino.py",
    "test_package.py",
    "test_page.py",
    "test_page_trouble.py",
    "test_portraits.py",
    "test_privacy.py",
    "test_proxy.py",
    "test_quantize.py",
    "test_ray_engine.py",
    "test_run.py",
    "test_sentences.py",
    "test_serve.py",
    "test_shipped_model.py",
    "test_steady.py",
    "test_stopping.py",
    "test_teacher.py",
    "test_telemetry.py",
    "test_train_detector.py",
    "test_warm_start.py",
    "test_worker.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of those files."""
    for item in items:
        if item.path.name in SLOW:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model") / "tiny.onnx", tiny_metadata())


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a model with other metadata or another graph: ``make_model(metadata, **graph)``."""
    return lambda metadata, **graph: build_model(tmp_path / "model.onnx", metadata, **graph)


@pytest.fixture(scope="session")
def astronaut() -> Path:
    return ROOT / "examples" / "astronaut.jpg"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium; the tests that use it skip where there is none."""
    from page_driving import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: "Browser") -> "Iterator[BrowserContext]":
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write", "camera"])
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def page(context: "BrowserContext", server: str) -> "Iterator[Page]":
    """The first page; fails the test if the page breaks a rule of its own, such as its security policy."""
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(error.message))
    page.on("console", lambda message: faults.append(message.text))
    page.goto(server)
    yield page
    assert [fault for fault in faults if not fault.startswith("Failed to load resource")] == []


@pytest.fixture(scope="session")
def yunet() -> Path:
    path = SHARED / "models" / "face_detection_yunet_2023mar.onnx"
    if not path.exists():
        pytest.skip("YuNet's file is not at hand")
    return path


def environment(folder: Path) -> Path:
    """The Python of an environment of its own, which borrows the packages of the one that runs the tests."""
    venv.create(folder, with_pip=False)
    places = sysconfig.get_paths("venv", {"base": str(folder), "platbase": str(folder)})
    # A bare path would leave out what is installed there in place, as mien is.
    borrowed = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    (Path(places["purelib"]) / "zz_borrowed.pth").write_text(borrowed)
    return Path(places["scripts"]) / Path(sys.executable).name


def install(python: Path, *what: str) -> None:
    """Install into an environment, in front of what it borrows."""
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--ignore-installed"]
    subprocess.run([*pip, "--no-deps", *what], check=True)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ``mien`` and ``python`` where the built package is installed, as a user has it."""
    python = environment(tmp_path_factory.mktemp("installed"))
    install(python, "--no-build-isolation", str(ROOT))
    return python.parent


@pytest.fixture(scope="session")
def python_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The Python of an environment like the tests' with another package in front: ``python_with(name)``."""

    @cache
    def make(package: str) -> Path:
        python = environment(tmp_path_factory.mktemp("with"))
        try:
            install(python, package)
        except subprocess.CalledProcessError:
            pytest.skip(f"{package} cannot be had")
        return python

    return make
