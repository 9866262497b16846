from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import SIZE, build_model, tiny_metadata

from mien.data.manifest import read_manifest
from mien.errors import ModelError, TrainingError
from mien.pipeline.model import Model
from mien.training import teacher
from mien.training.recipes import Recipe
from mien.training.teacher import learn_from

from .conftest import Train


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, metadata = tmp_path_factory.mktemp("teachers"), tiny_metadata(age_max=116)
    return [build_model(folder / f"{seed}.onnx", metadata, bins=117, seed=seed) for seed in (1, 2)]


def test_lessons_are_the_mean_of_what_the_teachers_say(
    teachers: list[Path], manifest: Path, tmp_path: Path
) -> None:
    table = read_manifest(manifest)
    chips = np.random.default_rng(0).integers(0, 256, (len(table), SIZE, SIZE, 3), np.uint8)
    lessons = learn_from(teachers, table, chips, tmp_path)
    (ages, female), (other_ages, other_female) = (Model(path).run(chips) for path in teachers)
    assert np.allclose(lessons.ages, (ages + other_ages) / 2, atol=1e-3)
    assert np.allclose(lessons.female, (female + other_female) / 2, atol=1e-3)
    assert not np.allclose(female, other_female, atol=0.01)


@pytest.mark.slow
def test_a_run_learns_its_teachers_lessons(start: Train, teachers: list[Path], tmp_path: Path) -> None:
    def weights(name: str, **settings: object) -> torch.Tensor:
        last = start(output=tmp_path / name, epochs=1, **settings)
        state = torch.load(last, weights_only=True)["current_model_state"]
        return state["net.heads.weight"]  # type: ignore[no-any-return]  # a checkpoint is a dict

    alone, taught = weights("alone"), weights("taught", teachers=teachers)
    assert not torch.equal(alone, taught)
    assert torch.equal(taught, weights("again", teachers=teachers))


def test_teachers_are_asked_once(start: Train, teachers: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    start(epochs=1, teachers=teachers)
    asked = []
    monkeypatch.setattr(teacher, "_sized", lambda *_: asked.append(1))
    start(epochs=1, teachers=teachers, resume=True)
    assert not asked


def test_a_taught_run_is_not_resumed_without_its_teachers(start: Train, teachers: list[Path]) -> None:
    start(epochs=1, teachers=teachers)
    with pytest.raises(
        TrainingError, match=r"with teachers 1\.onnx, 2\.onnx, not none; resume it with the same"
    ):
        start(epochs=1, resume=True)


def test_a_teacher_of_other_ages_is_refused(start: Train, tmp_path: Path) -> None:
    young = build_model(tmp_path / "young.onnx", tiny_metadata())
    with pytest.raises(
        TrainingError, match=r"young\.onnx knows the ages 0 to 100, a teacher must know 0 to 116"
    ):
        start(teachers=[young])


def test_what_is_no_model_file_does_not_teach(start: Train, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no model file .*nobody\.onnx"):
        start(teachers=[tmp_path / "nobody.onnx"])
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_heeds_labels_alone_is_not_taught(
    start: Train, tiny_recipe: Recipe, teachers: list[Path]
) -> None:
    with pytest.raises(TrainingError, match=r"'tiny' learns from labels alone; leave out --teacher"):
        start(replace(tiny_recipe, teachable=False), teachers=teachers)
