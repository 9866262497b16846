import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mien.cli import app, main
from mien.errors import StoppedError
from mien.training.recipes import Recipe


def test_the_command_trains_and_names_the_checkpoint(
    manifest: Path, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    arguments = ["train", "--manifest", str(manifest), "--output", str(tmp_path / "run"), "--recipe", "tiny"]
    arguments += ["--epochs", "1", "--limit-train-batches", "1", "--devices", "1"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout == f"Trained: {tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}\n"
    assert "epoch 1/1" in result.stderr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"--recipe": "big"}, "mien: 'big' is not a recipe; choose from small, dlib, classic, tiny."),
        ({"--manifest": "nowhere.csv"}, "mien: nowhere.csv does not exist"),
        ({"--trunk-weights": "nowhere.h5", "--recipe": "classic"}, "mien: nowhere.h5 does not exist"),
    ],
)
def test_what_a_user_did_wrong_is_one_sentence(
    manifest: Path,
    tiny_recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    sentence: str,
) -> None:
    options = {"--manifest": str(manifest), "--output": str(tmp_path / "run"), "--recipe": "tiny"} | changes
    monkeypatch.setattr("sys.argv", ["mien", "train", *(part for pair in options.items() for part in pair)])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(sentence) and "\n" not in error


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_ends_with_the_signals_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], signum: int, status: int
) -> None:
    def stopped(*arguments: object, **settings: object) -> Path:
        raise StoppedError("training was interrupted; no epoch was finished.", signum)

    monkeypatch.setattr("mien.training.run.train", stopped)
    monkeypatch.setattr("sys.argv", ["mien", "train", "--manifest", "faces.csv", "--output", "run"])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == status
    assert capsys.readouterr().err == "mien: training was interrupted; no epoch was finished.\n"
