import inspect
from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import Predictor, Request
from mien.pipeline.estimation import complete
from mien.request import HELP, Options
from mien.web.options import parse_options, schemas

NAMES = [field.name for field in fields(Request)]


def requests() -> st.SearchStrategy[Request]:
    return st.builds(
        Request,
        faces=st.sampled_from(["detect", "aligned"]),
        framing=st.sampled_from(["utkface", "padded"]),
        detector=st.sampled_from([None, "mien"]),
        longest_side=st.none() | st.integers(32, 2560),
        coverage=st.none() | st.floats(0.01, 0.99),
        thresholds=st.lists(st.integers(1, 116), max_size=16),
        gender_threshold=st.none() | st.floats(0.5, 0.99),
        rotate=st.booleans(),
        distribution=st.booleans(),
    )


def test_keyword_arguments_are_the_fields() -> None:
    assert get_type_hints(Options) == {
        name: hint for name, hint in get_type_hints(Request).items() if name in NAMES
    }


def test_every_field_has_a_help_and_a_schema() -> None:
    assert all(HELP[name].endswith(".") for name in NAMES)
    assert list(schemas()) == NAMES


@given(requests())
def test_a_query_gives_the_same_request_back(request: Request) -> None:
    assert parse_options(request.to_query(), ("mien",)) == request


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"faces": "all"}, "faces must be one of detect, aligned; got 'all'"),
        ({"framing": "loose"}, "framing must be one of utkface, padded; got 'loose'"),
        ({"longest_side": 31}, "longest_side must be a whole number from 32 to 2560; got 31"),
        ({"longest_side": 100_000}, "longest_side must be a whole number from 32 to 2560; got 100000"),
        ({"longest_side": 640.5}, "longest_side must be a whole number from 32 to 2560; got 640.5"),
        ({"coverage": 1}, "coverage must lie between 0 and 1; got 1"),
        ({"coverage": float("nan")}, "coverage must lie between 0 and 1; got nan"),
        ({"thresholds": [18.5]}, "thresholds must be whole ages; got 18.5"),
        ({"gender_threshold": 1}, "gender_threshold must lie between 0.5 and 1, and below 1; got 1"),
    ],
)
def test_a_value_out_of_range_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match="^" + sentence.replace(".", r"\.")):
        Request(**options)


def test_thresholds_are_sorted_and_each_is_there_once() -> None:
    assert Request(thresholds=[21, 18, 21]) == Request(thresholds=(18, 21))


def test_what_is_left_open_is_filled_in_by_the_model() -> None:
    assert complete(Request(), Predictor().model.metadata).coverage == 0.9


def test_a_predictor_fills_in_its_own_values() -> None:
    asked = Predictor(coverage=0.8, gender_threshold=0.6, rotate=False).complete(Request())
    assert (asked.coverage, asked.gender_threshold, asked.rotate) == (0.8, 0.6, False)


def test_keywords_take_precedence_over_the_request() -> None:
    asked = Predictor().complete(Request(coverage=0.8, faces="aligned"), coverage=0.7)
    assert (asked.coverage, asked.faces) == (0.7, "aligned")


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="treshold"):
        Predictor().predict("no.jpg", treshold=18)  # type: ignore[call-arg]  # the mistake


def test_flags_of_predict_are_the_fields() -> None:
    from mien.cli.options import NAMES as FLAGS
    from mien.cli.predict import predict

    parameters = inspect.signature(predict).parameters
    assert [FLAGS.get(name, name) for name in NAMES] == list(parameters)[-len(NAMES) :]


def test_a_request_can_be_changed_field_by_field() -> None:
    assert replace(Request(thresholds=[18]), rotate=False) == Request(thresholds=[18], rotate=False)
