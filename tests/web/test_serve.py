"""``mien serve``, its settings and what the documents say of them."""

import asyncio
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mien.cli import app
from mien.errors import MienError, ServerError
from mien.web.listening import listen, listener_for
from mien.web.server import warning
from mien.web.settings import Settings, load_settings

SERVE = [sys.executable, "-c", "from mien.cli import main; main()", "serve"]
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
        ("--max-files", "200", "max_files must not be larger than queue"),
        ("--detectors", "dlib,dlib", "named twice"),
        ("--detectors", "nonesuch", "no detector"),
        ("--model", "/no/such.onnx", "no model file"),
        ("--host", "not a host", "cannot be listened on"),
        ("--cors-origins", "example.org", "'example.org' is no origin"),
        ("--cors-origins", "https://*.example.org", "no origin"),
        ("--cors-origins", "https://example.org/app", "no origin"),
        ("--frame-origins", "null", "no origin"),
        ("--trusted-proxies", "proxy.example", "--trusted-proxies (MIEN_TRUSTED_PROXIES)"),
        ("--unix-socket", "/no/such/folder/mien.sock", "cannot be listened on"),
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
    assert sentence is not None and "anyone who can reach it can send photos" in sentence


def test_an_origin_is_heeded_as_browsers_write_it() -> None:
    settings = load_settings(cors_origins="https://Example.org/, http://a.example:80,https://b.example:8443")
    assert settings.cors_origins == ("https://example.org", "http://a.example", "https://b.example:8443")


def test_one_address_serves_both_ipv4_and_ipv6() -> None:
    with listen("::", 0) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port)).close()


def test_a_macs_airplay_is_named_where_it_holds_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: object, **__: object) -> None:
        raise OSError(errno.EADDRINUSE, "taken")

    monkeypatch.setattr(socket, "create_server", taken)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ServerError, match=r"AirPlay.*--port 5001"):
        listen("127.0.0.1", 5000)
    with pytest.raises(ServerError, match=r"--host\.$"):
        listen("127.0.0.1", 5002)


def ask(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return client.recv(10_000)


def test_a_system_without_unix_sockets_is_told_of_the_other_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    with pytest.raises(ServerError, match="use --host and --port"):
        listener_for(Settings(unix_socket=tmp_path / "mien.sock"))


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_a_unix_socket_is_served_and_a_dead_one_replaced(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "mien.sock"
    for _ in range(2):
        command = [*SERVE, "--model", str(tiny_model), "--unix-socket", str(path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert f"{path} is ready" in process.stderr.readline()
            assert b" 200 OK" in ask(path)
            variables = {**os.environ, "MIEN_UNIX_SOCKET": str(path)}
            health = subprocess.run([sys.executable, "-m", "mien.web.health"], env=variables, check=False)
            assert health.returncode == 0
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="systemd is Linux's")
def test_a_socket_that_systemd_passes_on_is_served(tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        os.set_inheritable(passed.fileno(), True)
        serve = (
            "import os; os.dup2(int(os.environ['PASSED']), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
            "from mien.cli import main; main()"
        )
        command = [sys.executable, "-c", serve, "serve", "--model", str(tiny_model)]
        variables = {**os.environ, "LISTEN_FDS": "1", "PASSED": str(passed.fileno())}
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=variables, close_fds=False
        ) as process:
            assert process.stderr is not None
            assert f"127.0.0.1:{passed.getsockname()[1]} is ready" in process.stderr.readline()
            with socket.create_connection(passed.getsockname(), timeout=30) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b" 200 OK" in client.recv(10_000)
            process.kill()
