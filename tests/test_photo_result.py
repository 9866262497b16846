import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien import DetectorError, ImageError, PhotoResult, Predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    with Image.open(Path(__file__).parents[1] / "examples" / "astronaut.jpg") as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def result(predictor: Predictor, astronaut: Path) -> PhotoResult:
    return predictor.predict(astronaut)


def test_a_result_is_the_sequence_of_its_faces(result: PhotoResult) -> None:
    assert len(result) == 1
    assert result[0] is result.faces[0] and list(result) == [*result.faces] and result[:1] == result.faces


def test_a_result_knows_its_photo(result: PhotoResult, astronaut: Path) -> None:
    assert (result.photo, result.size, result.error) == (str(astronaut), (512, 512), None)


def test_a_predictor_can_be_called(predictor: Predictor, astronaut: Path, result: PhotoResult) -> None:
    assert predictor(astronaut) == result


def test_one_photo_and_a_stream_give_the_same(
    predictor: Predictor, astronaut: Path, result: PhotoResult
) -> None:
    (streamed,) = predictor.predict_many([astronaut])
    assert streamed == result


def test_landmarks_lie_in_the_face(result: PhotoResult) -> None:
    (face,) = result
    assert face.landmarks is not None and len(face.landmarks) == 5
    assert all(face.box.x1 < x < face.box.x2 and face.box.y1 < y < face.box.y2 for x, y in face.landmarks)
    (left_eye, right_eye, nose, left_mouth, right_mouth) = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]


def test_landmarks_are_in_the_json(result: PhotoResult) -> None:
    (face,) = result.to_json()["faces"]
    assert np.abs(np.array(face["landmarks"]) - np.array(result[0].landmarks)).max() <= 0.05 + 1e-9


def test_a_crop_has_no_landmarks(predictor: Predictor, astronaut: Path) -> None:
    (face,) = predictor.predict(astronaut, faces="aligned")
    assert face.landmarks is None and face.to_json()["landmarks"] is None


def test_a_distribution_is_given_where_it_is_asked_for(predictor: Predictor, astronaut: Path) -> None:
    (face,) = predictor.predict(astronaut, distribution=True)
    assert face.age.distribution is not None
    cumulative = np.cumsum(face.age.distribution)
    assert cumulative[-1] == pytest.approx(1)
    assert np.interp(0.5, cumulative, np.arange(1, len(cumulative) + 1)) == pytest.approx(
        face.age.years, abs=1
    )
    assert sum(face.to_json()["age"]["distribution"]) == pytest.approx(1, abs=1e-3)


def test_no_distribution_is_given_unasked(result: PhotoResult) -> None:
    assert result[0].age.distribution is None and "distribution" not in result.to_json()["faces"][0]["age"]


def test_opencv_arrays_are_read_in_their_order(predictor: Predictor, pixels: np.ndarray) -> None:
    expected = predictor.predict(pixels).faces
    assert predictor.predict(pixels[..., ::-1], image_format="BGR").faces == expected
    (streamed,) = predictor.predict_many([pixels[..., ::-1]], image_format="BGR")
    assert streamed.faces == expected


def test_alpha_stays_last_in_opencv_arrays(predictor: Predictor, pixels: np.ndarray) -> None:
    bgra = np.dstack([pixels[..., ::-1], np.full(pixels.shape[:2], 255, np.uint8)])
    assert predictor.predict(bgra, image_format="BGR").faces == predictor.predict(pixels).faces


def test_another_order_of_colours_is_refused(predictor: Predictor, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image_format must be RGB or BGR; got 'GBR'"):
        predictor.predict(pixels, image_format="GBR")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ValueError, match="image_format must be RGB or BGR"):
        predictor.predict_many([pixels], image_format="GBR")  # type: ignore[arg-type]  # the mistake


def test_one_array_is_not_taken_for_many(predictor: Predictor, pixels: np.ndarray) -> None:
    with pytest.raises(TypeError, match="put a single one into a list, or use predict"):
        predictor.predict_many(pixels)


def test_an_open_file_is_not_taken_for_many(predictor: Predictor, astronaut: Path) -> None:
    with astronaut.open("rb") as file, pytest.raises(TypeError, match="put a single one into a list"):
        predictor.predict_many(file)


def test_a_list_is_sent_to_predict_many(predictor: Predictor, astronaut: Path) -> None:
    with pytest.raises(ImageError, match="use predict_many for several"):
        predictor.predict([astronaut])  # type: ignore[arg-type]  # the mistake


def test_a_folder_is_sent_to_annotate(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"is a folder; .*'mien annotate'"):
        predictor.predict(tmp_path)


def test_open_files_of_a_stream_are_read_when_they_are_pulled(predictor: Predictor, astronaut: Path) -> None:
    def files() -> object:
        for _ in range(6):
            with astronaut.open("rb") as file:
                yield file

    assert [len(found) for found in predictor.predict_many(files())] == [1] * 6  # type: ignore[arg-type]


def test_results_can_be_pickled(result: PhotoResult) -> None:
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_predictor_can_be_pickled(predictor: Predictor, astronaut: Path, result: PhotoResult) -> None:
    again = pickle.loads(pickle.dumps(Predictor(coverage=0.8, rotate=False)))
    assert (again.coverage, again.rotate) == (0.8, False)
    assert again.predict(astronaut, coverage=0.9) == result


def test_another_detector_can_be_asked_for(predictor: Predictor, astronaut: Path) -> None:
    pytest.importorskip("dlib", reason="dlib is not at hand")
    (face,) = predictor.predict(astronaut, detector="dlib")
    assert face.landmarks is None


def test_an_unknown_detector_is_refused_before_a_photo_is_read(predictor: Predictor) -> None:
    with pytest.raises(DetectorError, match="There is no detector 'eyes'"):
        predictor.predict_many(["no.jpg"], detector="eyes")


def test_more_faces_than_are_allowed_are_refused(astronaut: Path) -> None:
    with pytest.raises(ImageError, match="The photo has 1 faces; at most 0 are allowed"):
        Predictor(max_faces=0).predict(astronaut)


def test_a_result_is_drawn_on_its_photo(result: PhotoResult, pixels: np.ndarray) -> None:
    drawn = np.asarray(result.draw())
    assert drawn.shape == pixels.shape and (drawn != np.asarray(Image.fromarray(pixels))).any()
    assert np.array_equal(np.asarray(result.draw(pixels)), drawn)


def test_a_result_is_not_drawn_on_another_photo(result: PhotoResult) -> None:
    with pytest.raises(ImageError, match="has 64x48 pixels, the photo of this result 512x512"):
        result.draw(np.zeros((48, 64, 3), np.uint8))


def test_a_notebook_shows_the_faces_in_a_table(result: PhotoResult) -> None:
    html = result._repr_html_()
    assert "<img" in html and "apparent age" in html and "perceived gender" in html
    assert "<td>female (98 %)</td>" in html and len(html) < 200_000


def test_a_notebook_shows_names_as_text() -> None:
    html = PhotoResult("<script>alert(1)</script>.jpg", 10, 10)._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html and "no face found" in html


def test_a_notebook_shows_why_a_photo_failed() -> None:
    html = PhotoResult.failed("a.jpg", ImageError("a.jpg does not exist; check the path."))._repr_html_()
    assert "does not exist" in html


def test_a_photo_without_a_file_is_shown_as_a_table(predictor: Predictor, pixels: np.ndarray) -> None:
    html = predictor.predict(pixels)._repr_html_()
    assert "<img" not in html and "<td>female" in html
