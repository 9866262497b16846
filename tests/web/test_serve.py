"""``mien serve``, its settings and what the documents say of them."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mien.cli import app
from mien.errors import MienError
from mien.web.server import warning
from mien.web.settings import Settings, load_settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "server.md"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["serve", *arguments], env={"COLUMNS": "200"})


def settings_table() -> str:
    rows = ["| flag | variable | default | what |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "the number of processors" if name == "workers" else field.default
        shown = ",".join(default) if isinstance(default, tuple) else default
        flag, variable = f"`--{name.replace('_', '-')}`", f"`MIEN_{name.upper()}`"
        rows.append(
            f"| {flag} | {variable} | {'–' if shown in ('', None) else shown} | {field.description} |"
        )
    return "\n".join(rows)


def test_every_setting_is_a_flag_with_its_description() -> None:
    text = " ".join(run("--help").stdout.replace("│", " ").split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert field.description and field.description in text


def test_the_document_has_the_table_of_settings() -> None:
    table = settings_table()
    assert table in DOCUMENT.read_text("utf-8"), f"docs/server.md should hold:\n{table}"


def test_a_flag_goes_before_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_MAX_FILES", "3")
    monkeypatch.setenv("MIEN_CORS_ORIGINS", "https://a.example, https://b.example")
    assert load_settings().max_files == 3
    assert load_settings(max_files="4").max_files == 4
    assert load_settings().cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--port", "seventy", "--port (MIEN_PORT)"),
        ("--port", "70000", "--port (MIEN_PORT)"),
        ("--max-files", "100", "max_files must not be larger than queue"),
        ("--detectors", "dlib,dlib", "named twice"),
        ("--detectors", "nonesuch", "no detector"),
        ("--model", "/no/such.onnx", "no model file"),
        ("--host", "not a host", "cannot be listened on"),
    ],
)
def test_a_wrong_setting_is_one_sentence(flag: str, value: str, words: str) -> None:
    result = run("--port", "0", flag, value)
    assert isinstance(result.exception, MienError)
    assert words in str(result.exception)


def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = run("--port", str(other.getsockname()[1]))
    assert isinstance(result.exception, MienError)
    assert "cannot be listened on" in str(result.exception)


def test_listening_to_others_is_said_with_a_warning() -> None:
    assert warning("127.0.0.1") is warning("::1") is None
    sentence = warning("0.0.0.0")
    assert sentence is not None and "whoever can reach it can send photos" in sentence
