import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from data_fakes import Draw, noise_in
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.duplicates import (
    THUMBNAIL,
    Vector,
    _fingerprint,
    equal_pairs,
    fingerprint,
    group_labels,
    near_identical,
    near_identical_pairs,
    thumbnail,
    without_chains,
    without_common,
)
from mien.pipeline.images import read_photo

NO_PAIRS = np.empty((0, 2), np.intp)


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    return noise_in(tmp_path)


def test_a_thumbnail_has_mean_0_and_norm_1(draw: Draw) -> None:
    vector = thumbnail(read_photo(draw("a.png", 1)).pixels)
    assert vector.shape == (576,)
    assert vector.mean() == pytest.approx(0, abs=1e-6) and np.linalg.norm(vector) == pytest.approx(
        1, abs=1e-5
    )


def test_a_recompressed_and_rescaled_picture_is_near_identical(draw: Draw) -> None:
    paths = [draw("a.png", 1), draw("b.jpg", 1, quality=40), draw("c.png", 1, size=96), draw("d.png", 2)]
    pairs = near_identical_pairs(fingerprint(list(map(str, paths))).thumbnails)
    assert pairs.tolist() == [[0, 1], [0, 2], [1, 2]]


def test_pairs_are_found_across_the_blocks_that_are_compared() -> None:
    vectors = np.zeros((5000, 2), np.float32)
    vectors[[3, 4999]] = (0.6, 0.8)
    assert near_identical_pairs(vectors).tolist() == [[3, 4999]]


def test_flat_pictures_are_not_taken_for_one_another() -> None:
    assert len(near_identical_pairs(np.zeros((4, 576), np.float32))) == 0


def test_unreadable_pictures_are_noted_and_the_rest_read(draw: Draw, tmp_path: Path) -> None:
    whole = draw("a.jpg", 1)
    (tmp_path / "short.jpg").write_bytes(whole.read_bytes()[:300])
    (tmp_path / "empty.jpg").touch()
    paths = [str(tmp_path / name) for name in ("short.jpg", "empty.jpg", "none.jpg", "a.jpg")]
    prints = fingerprint(paths)
    assert list(prints.unreadable) == [0, 1, 2]
    assert not prints.thumbnails[:3].any() and prints.thumbnails[3].any()


def test_files_that_cannot_be_opened_do_not_count_as_equal(tmp_path: Path) -> None:
    prints = fingerprint([str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"), "c\0.jpg", "d\udce9.jpg"])
    assert len(set(prints.hashes)) == 4


def test_empty_values_are_not_paired() -> None:
    assert equal_pairs(["", "x", "", "x"]).tolist() == [[1, 1], [1, 3]]


def test_a_group_is_named_after_its_smallest_hash() -> None:
    pairs = np.array([[0, 2]], np.intp)
    assert group_labels(["c" * 64, "b" * 64, "a" * 64, "b" * 64], pairs) == [
        "a" * 16,
        "b" * 16,
        "a" * 16,
        "b" * 16,
    ]


def test_groups_join_through_a_common_picture() -> None:
    assert len(set(group_labels(["a", "b", "c"], np.array([[0, 1], [1, 2]], np.intp)))) == 1


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef"), max_size=20), st.randoms(use_true_random=False))
def test_group_names_do_not_depend_on_the_order(hashes: list[str], rng: random.Random) -> None:
    order = list(range(len(hashes)))
    rng.shuffle(order)
    names = group_labels(hashes, NO_PAIRS)
    assert group_labels([hashes[i] for i in order], NO_PAIRS) == [names[i] for i in order]


def at_correlation(correlation: float) -> npt.NDArray[np.float32]:
    """Two thumbnails that correlate so."""
    return np.array([[1, 0], [correlation, np.sqrt(1 - correlation**2)]], np.float32)


@pytest.mark.parametrize(("correlation", "pairs"), [(0.97, 1), (0.96, 0), (0.91, 0), (-0.97, 0)])
def test_pictures_are_near_identical_above_a_correlation_of_0_965(correlation: float, pairs: int) -> None:
    assert len(near_identical_pairs(at_correlation(correlation))) == pairs


def test_faces_under_a_mask_are_compared_by_what_differs() -> None:
    random = np.random.default_rng(0)
    mask, faces = random.normal(size=THUMBNAIL**2) * 5, random.normal(size=(300, THUMBNAIL**2))
    faces[1] = faces[0] + 0.05 * random.normal(size=THUMBNAIL**2)
    vectors = (faces + mask).astype(np.float32)
    vectors -= vectors.mean(1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert len(near_identical_pairs(vectors, 0.9)) > 10_000
    assert near_identical_pairs(without_common(vectors), 0.9).tolist() == [[0, 1]]


def test_frames_of_one_scene_stay_the_same_picture() -> None:
    random = np.random.default_rng(0)
    frames = random.normal(size=THUMBNAIL**2) + 0.05 * random.normal(size=(300, THUMBNAIL**2))
    vectors = frames.astype(np.float32)
    vectors -= vectors.mean(1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert without_common(vectors) is vectors


def test_pictures_do_not_form_chains() -> None:
    """Five steps from one picture to another that it has nothing in common with."""
    chain = np.array([[i, i + 1] for i in range(6)], np.intp)
    labels = group_labels(list("gfedcba"), without_chains(chain, list("gfedcba")))
    assert max(map(labels.count, labels)) == 3
    turned = [6 - i for i in range(7)]
    again = group_labels(list("abcdefg"), without_chains(np.sort(6 - chain, axis=1), list("abcdefg")))
    assert [again[i] for i in turned] == labels


def test_pictures_that_are_all_alike_stay_together() -> None:
    alike = np.array([[0, 1], [0, 2], [1, 2], [3, 4]], np.intp)
    labels = group_labels(list("abcde"), without_chains(alike, list("abcde")))
    assert labels == ["a", "a", "a", "d", "d"]


@pytest.mark.parametrize("count", [2, 300])
def test_pictures_without_much_in_common_are_compared_as_they_are(count: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(count, THUMBNAIL**2)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert without_common(vectors) is vectors


def test_repeated_rows_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(noise_in(tmp_path)(name, seed)) for seed, name in enumerate(("a.png", "b.png"))]
    looks: list[str] = []

    def look(path: str) -> tuple[str, Vector, str]:
        looks.append(path)
        return _fingerprint(path)

    monkeypatch.setattr("mien.data.duplicates._fingerprint", look)
    prints = fingerprint([*paths, *paths * 2000])
    assert sorted(looks) == sorted(paths)
    assert len(near_identical(prints)) == 0
    assert len(set(group_labels(prints.hashes, near_identical(prints)))) == 2
