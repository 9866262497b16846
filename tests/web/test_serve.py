"""``mien serve``, its settings and what the documents say of them."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mien.cli import app
from mien.errors import MienError
from mien.web.server import listen, warning
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


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name == "PORT" or name.startswith("MIEN_")]:
        monkeypatch.delenv(name)


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


def test_answers_are_not_held_back_to_be_sent_together() -> None:
    """Nagle's algorithm is off on the server's side of a connection."""

    async def option() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection: socket.socket = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = listen("127.0.0.1", 0)
        async with await asyncio.start_server(met, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            return await found

    assert asyncio.run(option())


def test_an_empty_variable_or_flag_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"MIEN_{name.upper()}", " ")
    assert load_settings() == Settings()
    assert load_settings(**dict.fromkeys(Settings.model_fields, "")) == Settings()


def test_the_variable_of_a_kubernetes_service_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_PORT", "tcp://10.0.171.239:5000")
    assert load_settings().port == 5000
    monkeypatch.setenv("PORT", "8080")
    assert load_settings().port == 8080


def test_a_platforms_port_is_heeded_and_yields_to_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8080")
    assert load_settings().port == 8080
    monkeypatch.setenv("MIEN_PORT", "8081")
    assert load_settings().port == 8081
    assert load_settings(port="8082").port == 8082


def test_listening_to_others_is_said_with_a_warning() -> None:
    assert warning("127.0.0.1") is warning("::1") is None
    sentence = warning("0.0.0.0")
    assert sentence is not None and "whoever can reach it can send photos" in sentence
