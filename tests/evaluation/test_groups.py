import numpy as np
import pytest
from evaluation_fakes import labels, predictions

from mien.errors import DataError
from mien.evaluation import score
from mien.evaluation.groups import LEAST_RANKED


def test_ages_are_grouped_by_decade_youngest_first_and_young_children_apart() -> None:
    true = [101.0, 9.0, 10.0, 4.0]
    found = score(labels(age_low=true, age_high=true), predictions(age=[30.0] * 4), replicates=10)
    assert list(found.groups["age"]) == ["0-4", "5-9", "10-19", "100-109"]
    assert found.groups["age"]["5-9"]["mae"].n == 1


def test_bins_are_groups_of_their_own() -> None:
    found = score(
        labels(age_low=[70.0, 0.0], age_high=[116.0, 2.0]), predictions(age=[80.0, 1.0]), replicates=10
    )
    assert list(found.groups["age"]) == ["0-2", "70-116"]


def test_genders_and_races_are_measured_apart() -> None:
    label = labels(gender=["male", "female", ""], race=["White", "Black", "White"])
    found = score(label, predictions(age=[31.0, 32.0, 33.0]), replicates=10).groups
    assert {name: group["mae"].value for name, group in found["gender"].items()} == {"female": 2, "male": 1}
    assert {name: group["mae"].value for name, group in found["race"].items()} == {"Black": 2, "White": 2}


def test_a_trait_without_labels_is_missing() -> None:
    assert list(score(labels(), predictions(), replicates=10).groups) == ["age"]


def test_a_group_without_a_detected_face_has_a_detection_rate_only() -> None:
    nothing = dict.fromkeys(("age", "age_low", "age_high", "p_female"), np.nan)
    found = score(labels(), predictions(**nothing, detected=False), replicates=10)
    assert list(found.groups["age"]["30-39"]) == ["detection_rate"]


def test_labels_and_predictions_of_other_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="2 labels but 1 predictions"):
        score(labels(age_low=[30.0, 30.0]), predictions())


def test_predictions_of_other_pictures_are_refused() -> None:
    with pytest.raises(DataError, match=r"Row 2 .* 0\.jpg .* other\.jpg"):
        score(labels(), predictions(path=["other.jpg"]))


def test_labels_without_an_age_or_a_gender_are_refused() -> None:
    with pytest.raises(DataError, match="No face has a label"):
        score(labels(age_low=np.nan, age_high=np.nan), predictions())


def test_genders_alone_are_judged() -> None:
    rows = labels(age_low=np.nan, age_high=np.nan, gender=["male", "female"], race=["White", "Black"])
    found = score(rows, predictions(path=["0.jpg", "1.jpg"], p_female=[0.1, 0.2]), replicates=10)
    assert found.overall["gender_accuracy"].value == 0.5
    assert set(found.groups) == {"gender", "race", "race and gender"}
    assert not {"mae", "bin_accuracy", "coverage"} & set(found.overall)
    assert found.thresholds is None


def test_faces_without_an_age_are_in_no_group_of_ages() -> None:
    rows = labels(age_low=[30.0, np.nan], age_high=[30.0, np.nan], gender=["male", "female"])
    found = score(rows, predictions(path=["0.jpg", "1.jpg"]), replicates=10)
    assert set(found.groups["age"]) == {"30-39"}
    assert set(found.groups["age and gender"]) == {"30-39, male"}


def test_json_holds_value_interval_and_number() -> None:
    found = score(labels(gender=["male"]), predictions(age=[33.0]), replicates=10).to_json()
    assert found["overall"]["mae"] == {"value": 3.0, "low": None, "high": None, "n": 1}
    assert found["groups"]["gender"]["male"]["mae"]["n"] == 1


def test_every_group_of_age_race_and_gender_is_measured() -> None:
    label = labels(
        age_low=[30.0, 4.0], age_high=[30.0, 4.0], gender=["male", "female"], race=["White", "Black"]
    )
    found = score(label, predictions(age=[31.0, 6.0]), replicates=10).groups["age, race and gender"]
    assert {name: group["mae"].value for name, group in found.items()} == {
        "0-4, Black, female": 2,
        "30-39, White, male": 1,
    }


def test_groups_are_crossed_over_what_is_labelled() -> None:
    found = score(labels(gender=["male"]), predictions(), replicates=10)
    assert (found.crossed, list(found.groups)) == ("age and gender", ["age", "gender", "age and gender"])


def test_the_gap_is_between_the_worst_and_the_best_group() -> None:
    label = labels(gender=["male"] * LEAST_RANKED + ["female"] * LEAST_RANKED)
    answers = predictions(age=[28.0] * LEAST_RANKED + [31.0] * LEAST_RANKED)
    gaps = {gap.metric.name: gap for gap in score(label, answers, replicates=10).gaps("gender")}
    assert (gaps["mae"].worst, gaps["mae"].best, gaps["mae"].size) == ("male", "female", 1)
    assert (gaps["bias"].worst, gaps["bias"].size) == ("male", 3)


def test_small_groups_are_not_ranked() -> None:
    label = labels(gender=["male"] * LEAST_RANKED + ["female"] * (LEAST_RANKED - 1))
    answers = predictions(age=[28.0] * LEAST_RANKED + [31.0] * (LEAST_RANKED - 1))
    assert score(label, answers, replicates=10).gaps("gender") == []


def test_ages_below_30_are_measured_by_fives() -> None:
    years = [0.0, 4, 5, 17, 29, 30, 10]
    label = labels(age_low=years, age_high=[*years[:-1], 19])
    found = score(label, predictions(age=[y + 2 for y in years]), replicates=10).young
    assert {band: measured["bias"].n for band, measured in found.items()} == {
        **{"0-4": 2, "5-9": 1, "15-19": 1, "25-29": 1}
    }
    assert found["0-4"]["bias"].value == 2


def test_without_young_faces_there_are_no_bands() -> None:
    assert score(labels(), predictions(), replicates=10).to_json()["young"] == {}


@pytest.mark.parametrize(("faces", "ranked"), [(29, False), (30, True)])
def test_groups_of_30_faces_are_ranked(faces: int, ranked: bool) -> None:
    label = labels(gender=["female"] * 40 + ["male"] * faces)
    found = score(label, predictions(age=[31.0] * 40 + [32.0] * faces), replicates=10)
    assert bool(found.gaps("gender")) is ranked
