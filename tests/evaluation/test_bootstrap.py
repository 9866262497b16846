import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mien.evaluation.bootstrap import bootstrap_means, percentile_interval


def interval(values: list[float], clusters: list[int] | None = None) -> tuple[float, float]:
    column = np.array(values)[:, None]
    numbers = np.arange(len(values)) if clusters is None else np.array(clusters)
    return percentile_interval(bootstrap_means(column, numbers)[:, 0])


def test_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).gamma(2, 3, 200)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert interval(list(values)) == pytest.approx((theirs.low, theirs.high), abs=0.1)


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_interval_is_ordered_and_within_the_values(values: list[float]) -> None:
    low, high = interval(values)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


@settings(deadline=None)
@given(st.floats(-100, 100), st.integers(1, 20))
def test_equal_values_leave_no_doubt(value: float, n: int) -> None:
    assert interval([value] * n) == pytest.approx((value, value))


def test_covers_the_true_mean_about_as_often_as_it_says() -> None:
    samples = np.random.default_rng(2).normal(size=(400, 100))
    intervals = [interval(list(sample)) for sample in samples]
    assert 0.92 <= np.mean([low <= 0 <= high for low, high in intervals]) <= 0.97


def test_copies_in_one_cluster_add_no_certainty() -> None:
    values = list(np.random.default_rng(3).normal(size=50))
    assert interval(values * 4, list(range(50)) * 4) == pytest.approx(interval(values))


def test_copies_in_clusters_of_their_own_do() -> None:
    values = list(np.random.default_rng(3).normal(size=50))
    (low, high), (low4, high4) = interval(values), interval(values * 4)
    assert high4 - low4 == pytest.approx((high - low) / 2, rel=0.15)


def test_undefined_values_are_left_out() -> None:
    column = np.array([[1.0], [np.nan], [1.0], [np.nan]])
    means = bootstrap_means(column, np.arange(4), replicates=200)
    assert set(means[np.isfinite(means)]) == {1.0}


def test_same_seed_same_resamples() -> None:
    values, clusters = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20)
    assert np.array_equal(
        bootstrap_means(values, clusters, seed=5), bootstrap_means(values, clusters, seed=5)
    )
    assert not np.array_equal(
        bootstrap_means(values, clusters, seed=5), bootstrap_means(values, clusters, seed=6)
    )


def test_chunks_do_not_change_the_number_of_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.evaluation.bootstrap.CHUNK", 70)
    assert bootstrap_means(np.ones((10, 3)), np.arange(10), replicates=50).shape == (50, 3)


def test_no_number_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no replicate"):
        percentile_interval(np.array([np.nan]))
