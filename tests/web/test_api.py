"""The REST API as its clients meet it: over HTTP, from a real server."""

import gzip
import io
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from live import live
from pictures import bomb, corners, encode
from PIL import Image
from typer.testing import CliRunner

from mien.cli import app as command_line
from mien.predictor import Predictor
from mien.request import DEFAULT_DETECTOR
from mien.web.app import create_app
from mien.web.settings import Settings


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[httpx.Client]:
    settings = Settings(model=tiny_model, workers=2, max_upload_mb=2, max_megapixels=1, max_files=3)
    with live(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> bytes:
    return astronaut.read_bytes()


def send(client: httpx.Client, *files: tuple[str, bytes], **options: str) -> httpx.Response:
    parts = [("photo", file) for file in files]
    return client.post("/api/v1/predict", files=parts, data=options)


def problem(response: httpx.Response) -> tuple[int, str, str]:
    """Status, kind and sentence, after checking the form (RFC 9457, section 3)."""
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert set(document) == {"type", "title", "status", "detail"}
    assert document["status"] == response.status_code
    return response.status_code, document["type"].removeprefix("urn:mien:problem:"), document["detail"]


def test_one_photo_is_answered_as_predict_json_prints_it(
    client: httpx.Client, photo: bytes, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "家族 1.jpg").write_bytes(photo)
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(
        command_line, ["predict", "--json", "--model", str(tiny_model), "家族 1.jpg"]
    )
    assert send(client, ("家族 1.jpg", photo)).content == printed.stdout_bytes.rstrip(b"\n")


def test_a_raw_body_is_one_photo(client: httpx.Client, photo: bytes) -> None:
    headers = {"Content-Type": "image/jpeg"}
    answer = client.post("/api/v1/predict", content=photo, headers=headers).json()
    assert answer == {**send(client, ("a.jpg", photo)).json(), "photo": "<bytes>"}


def test_several_photos_are_answered_in_order_and_a_failed_one_among_them(
    client: httpx.Client, photo: bytes
) -> None:
    empty = encode(Image.new("RGB", (64, 48), "grey"), "PNG")
    response = send(client, ("empty.png", empty), ("notes.txt", b"not a photo"), ("a.jpg", photo))
    assert response.status_code == 200
    first, second, third = response.json()["photos"]
    assert first == {"photo": "empty.png", "width": 64, "height": 48, "faces": []}
    assert set(second) == {"photo", "error"}
    assert third == send(client, ("a.jpg", photo)).json()


def test_aligned_takes_the_photo_for_a_face(client: httpx.Client) -> None:
    crop = encode(Image.new("RGB", (64, 48), "grey"), "PNG")
    (face,) = send(client, ("crop.png", crop), faces="aligned").json()["faces"]
    assert face["box"] == [0, 0, 64, 48]


def test_options_may_be_in_the_query(client: httpx.Client) -> None:
    crop = encode(Image.new("RGB", (64, 48), "grey"), "PNG")
    headers = {"Content-Type": "image/png"}
    answer = client.post("/api/v1/predict?faces=aligned", content=crop, headers=headers).json()
    assert len(answer["faces"]) == 1


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("faces", "all", "faces"),
        ("detector", "/etc/passwd", DEFAULT_DETECTOR),
        ("detector", "yunet:/etc/passwd", DEFAULT_DETECTOR),
        ("longest_side", "100000", "longest_side must be a whole number from 32 to 2560."),
        ("longest_side", "640.5", "longest_side"),
        ("coverage", "2", "coverage"),
        ("coverage", "0.1", "between 0.5 and 0.99"),
        ("coverage", "nan", "coverage"),
        ("thresholds", "18,old", "thresholds"),
        ("thresholds", ",".join(map(str, range(40))), "thresholds"),
        ("treshold", "18", "'treshold'; choose among faces, framing, detector, longest_side"),
    ],
)
def test_a_wrong_option_is_named(
    client: httpx.Client, photo: bytes, option: str, value: str, word: str
) -> None:
    status, kind, sentence = problem(send(client, ("a.jpg", photo), **{option: value}))
    assert (status, kind) == (422, "wrong-option")
    assert word in sentence
    assert value not in sentence


def test_an_option_given_twice_is_refused(client: httpx.Client, photo: bytes) -> None:
    headers = {"Content-Type": "image/jpeg"}
    url = "/api/v1/predict?faces=aligned&faces=detect"
    assert problem(client.post(url, content=photo, headers=headers))[:2] == (422, "wrong-option")


@pytest.mark.parametrize("data", [b"", b"not a photo", b"\xff\xd8\xff", b"GIF89a", b"%PDF-1.7", b"\0" * 1000])
def test_what_is_no_picture_is_refused(client: httpx.Client, data: bytes) -> None:
    assert problem(send(client, ("a.jpg", data)))[:2] == (400, "not-a-picture")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIF"])
def test_a_photo_cut_short_is_refused(client: httpx.Client, kind: str) -> None:
    data = encode(Image.effect_noise((64, 64), 90).convert("RGB"), kind)
    assert problem(send(client, ("cut", data[: len(data) // 2])))[:2] == (400, "not-a-picture")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF", "AVIF"])
def test_every_kind_of_photo_is_read(client: httpx.Client, kind: str) -> None:
    answer = send(client, ("photo", encode(corners(), kind))).json()
    assert (answer["width"], answer["height"]) == (32, 48)


@pytest.mark.parametrize("side", [1001, 10_001, 30_000])
def test_too_many_pixels_are_refused_from_the_header(client: httpx.Client, side: int) -> None:
    status, kind, sentence = problem(send(client, ("bomb.png", bomb(side, side))))
    assert (status, kind) == (413, "too-large")
    assert "1 megapixels" in sentence


def test_too_many_files_are_refused(client: httpx.Client, photo: bytes) -> None:
    status, kind, sentence = problem(send(client, *[("a.jpg", photo)] * 4))
    assert (status, kind) == (413, "too-large")
    assert "3 photos" in sentence


@pytest.mark.parametrize("megabytes", [2, 6, 40])
def test_too_large_an_upload_is_refused(client: httpx.Client, megabytes: int) -> None:
    status, kind, sentence = problem(send(client, ("a.jpg", b"x" * megabytes * 10**6)))
    assert (status, kind) == (413, "too-large")
    assert "2 MB" in sentence


def test_too_large_an_upload_without_its_length_is_refused(client: httpx.Client) -> None:
    headers = {"Content-Type": "image/jpeg"}
    chunks = (b"x" * 100_000 for _ in range(30))
    assert problem(client.post("/api/v1/predict", content=chunks, headers=headers))[:2] == (413, "too-large")


@pytest.mark.parametrize("kind", ["text/plain", "application/xml"])
def test_a_body_of_another_kind_is_refused(client: httpx.Client, photo: bytes, kind: str) -> None:
    response = client.post("/api/v1/predict", content=photo, headers={"Content-Type": kind})
    assert problem(response)[:2] == (415, "wrong-kind")


UNTOLD = ["application/x-www-form-urlencoded", "binary/octet-stream", ""]


@pytest.mark.parametrize("kind", UNTOLD)
def test_a_picture_is_read_though_its_type_is_not_told(client: httpx.Client, photo: bytes, kind: str) -> None:
    response = client.post("/api/v1/predict", content=photo, headers={"Content-Type": kind})
    assert response.json()["width"] == 512


@pytest.mark.parametrize("kind", UNTOLD)
def test_other_bytes_of_an_untold_type_are_refused_with_curls_cure(client: httpx.Client, kind: str) -> None:
    response = client.post("/api/v1/predict", content=b"photo=a.jpg", headers={"Content-Type": kind})
    status, _, sentence = problem(response)
    assert status == 415
    assert "-F photo=@FILE" in sentence and "--data-binary @FILE" in sentence


def test_a_compressed_body_is_refused_with_the_reason(client: httpx.Client, photo: bytes) -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}
    status, _, sentence = problem(
        client.post("/api/v1/predict", content=gzip.compress(photo), headers=headers)
    )
    assert status == 415
    assert "compressed" in sentence


def form(*parts: bytes) -> tuple[bytes, dict[str, str]]:
    """A form from its parts, each with its head."""
    body = b"".join(b"--cut\r\n" + part + b"\r\n" for part in parts) + b"--cut--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=cut"}


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition: form-data; name="photo"\r\nContent-Type: image/jpeg',
        b'Content-Disposition: form-data; name="photo"',
        b'Content-Disposition: form-data; name="photo"\r\nContent-Type: application/octet-stream',
    ],
)
def test_a_part_without_a_files_name_is_a_photo_by_its_type_or_bytes(
    client: httpx.Client, photo: bytes, head: bytes
) -> None:
    option = b'Content-Disposition: form-data; name="faces"\r\n\r\naligned'
    body, headers = form(option, head + b"\r\n\r\n" + photo)
    answer = client.post("/api/v1/predict", content=body, headers=headers).json()
    assert answer["photo"] == "<bytes>"
    assert answer["faces"][0]["box"] == [0, 0, 512, 512]


@pytest.mark.parametrize("filename", [b"", b'; filename="options.json"'])
def test_a_json_part_holds_options(client: httpx.Client, photo: bytes, filename: bytes) -> None:
    head = (
        b'Content-Disposition: form-data; name="options"' + filename + b"\r\nContent-Type: application/json"
    )
    options = head + b'\r\n\r\n{"faces": "aligned", "thresholds": [18, 21], "rotate": false}'
    picture = b'Content-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n' + photo
    body, headers = form(options, picture)
    (face,) = client.post("/api/v1/predict", content=body, headers=headers).json()["faces"]
    assert set(face["age"]["at_least"]) == {"18", "21"}


def test_a_form_whose_boundary_is_not_told_is_refused_with_the_reason(
    client: httpx.Client, photo: bytes
) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    status, kind, sentence = problem(client.post("/api/v1/predict", content=form(photo)[0], headers=headers))
    assert (status, kind) == (400, "broken-form")
    assert "boundary" in sentence


@pytest.mark.parametrize("head", ["", "data:image/jpeg;base64,"])
def test_a_photo_inside_json_is_answered_as_an_upload_is(
    client: httpx.Client, photo: bytes, head: str
) -> None:
    text = head + b64encode(photo).decode()
    expected = client.post(
        "/api/v1/predict?faces=aligned", content=photo, headers={"Content-Type": "image/jpeg"}
    )
    answer = client.post("/api/v1/predict", json={"image": text, "faces": "aligned"})
    assert answer.content == expected.content


def test_several_photos_inside_json_are_answered_in_order(client: httpx.Client, photo: bytes) -> None:
    texts = [b64encode(b"no photo").decode(), urlsafe_b64encode(photo).decode().rstrip("=")]
    first, second = client.post("/api/v1/predict", json={"images": texts}).json()["photos"]
    assert set(first) == {"photo", "error"}
    assert second["width"] == 512


def test_limits_count_the_decoded_bytes_of_json(client: httpx.Client) -> None:
    def status(size: int) -> int:
        text = b64encode(b"x" * size).decode()
        return client.post("/api/v1/predict", json={"image": text}).status_code

    assert status(1_990_000) == 400  # 2.65 MB of base64, and no picture
    assert status(2_000_001) == 413


@pytest.mark.parametrize(
    ("document", "status", "word"),
    [
        ({"image": "https://example.org/a.jpg"}, 415, "does not fetch URLs"),
        ({"image": "data:text/plain,hello"}, 400, "base64"),
        ({"image": "???"}, 400, "not valid base64"),
        ({"image": 3}, 400, '"image"'),
        ({"url": "x"}, 400, '"image"'),
        ({"images": []}, 400, '"image"'),
        (["a"], 400, "JSON object"),
        ({"images": ["", "", "", ""]}, 413, "3 photos"),
        ({"image": "AAAA", "treshold": 18}, 422, "'treshold'"),
    ],
)
def test_wrong_json_is_told_what_to_do(
    client: httpx.Client, document: object, status: int, word: str
) -> None:
    answer = problem(client.post("/api/v1/predict", json=document))
    assert answer[0] == status
    assert word in answer[2]


@pytest.mark.parametrize("path", ["/", "/healthz", "/info", "/metrics", "/docs", "/static/astronaut.jpg"])
def test_head_answers_as_get_without_a_body(client: httpx.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_a_slash_too_many_is_answered(client: httpx.Client, photo: bytes) -> None:
    assert client.get("/healthz/").json() == {"status": "ok"}
    assert client.post("/api/v1/predict/", files={"photo": ("a.jpg", photo)}).json()["width"] == 512
    page = client.get("/info/", follow_redirects=False)
    assert page.is_redirect and page.headers["location"] == "../info"
    assert client.get("/info/", follow_redirects=True).status_code == 200


def test_a_form_without_a_photo_is_refused(client: httpx.Client) -> None:
    empty = client.post("/api/v1/predict", files={"photo": ("", b"")})
    assert problem(empty)[:2] == (400, "not-a-picture")


def test_an_unknown_path_and_a_wrong_method_are_problems(client: httpx.Client) -> None:
    assert problem(client.get("/no/such/page"))[:2] == (404, "not-found")
    assert problem(client.get("/api/v1/predict"))[:2] == (405, "method-not-allowed")


def test_a_photo_with_more_faces_than_allowed_is_refused(tiny_model: Path, photo: bytes) -> None:
    from mien.pipeline.images import Pixels
    from mien.results import Box, Face

    class Crowd:
        def detect(self, photo: Pixels) -> list[Face]:
            return [Face(Box(0, 0, 50, 50), 1.0)] * 3

    settings = Settings(model=tiny_model, max_faces=2)
    app = create_app(settings, Predictor(tiny_model, Crowd()))
    with live(app) as address:
        response = httpx.post(f"{address}/api/v1/predict", files={"photo": ("a.jpg", photo)}, timeout=60)
    status, kind, sentence = problem(response)
    assert (status, kind) == (413, "too-large")
    assert "3 faces" in sentence


def test_a_detector_is_chosen_by_the_name_it_has_on_the_server(
    yunet: Path, tiny_model: Path, photo: bytes
) -> None:
    app = create_app(Settings(model=tiny_model, detectors=("dlib", f"yunet:{yunet}")))
    with live(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/api/v1/model").json()["detectors"] == ["dlib", "yunet"]
        default, dlib, other = (
            send(client, ("a.jpg", photo), **options).json()["faces"]
            for options in ({}, {"detector": "dlib"}, {"detector": "yunet"})
        )
    assert default == dlib != other


def test_the_annotated_copy_is_the_photo_without_metadata(client: httpx.Client, photo: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x9286] = 6, "Camera of Jane Doe", "Secret comment"
    with Image.open(Path(__file__).parents[2] / "examples" / "astronaut.jpg") as image:
        turned = image.transpose(Image.Transpose.ROTATE_90)
    data = encode(turned, "JPEG", exif=exif, comment=b"Secret comment", icc_profile=b"Secret profile")
    response = client.post("/api/v1/annotate", files={"photo": ("a.jpg", data)})
    assert response.headers["content-type"] == "image/jpeg"
    assert b"Secret" not in response.content and b"Jane" not in response.content
    with Image.open(io.BytesIO(response.content)) as drawn:
        assert not drawn.getexif() and set(drawn.info) <= {
            "jfif",
            "jfif_version",
            "jfif_unit",
            "jfif_density",
        }
        assert drawn.size == (512, 512)


def test_one_photo_at_a_time_is_annotated(client: httpx.Client, photo: bytes) -> None:
    files = [("photo", ("a.jpg", photo))] * 2
    assert problem(client.post("/api/v1/annotate", files=files))[:2] == (422, "wrong-option")


def test_the_model_tells_what_it_is_and_what_the_server_takes(client: httpx.Client) -> None:
    answer = client.get("/api/v1/model").json()
    assert answer["name"] == "tiny" and answer["card"] is None
    assert answer["detectors"] == [DEFAULT_DETECTOR]
    assert answer["limits"] == {"upload_bytes": 2_000_000, "megapixels": 1, "files": 3, "faces": 100}


def test_health_and_readiness_are_told(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    while (ready := client.get("/readyz")).status_code == 503:
        assert ready.json() == {"status": "starting"}
    assert ready.json() == {"status": "ready"}


def test_requests_faces_and_rejections_are_counted(client: httpx.Client, photo: bytes) -> None:
    def count(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    names = [
        'mien_requests_total{method="POST",route="/api/v1/predict",status="200"}',
        'mien_requests_total{method="POST",route="/api/v1/predict",status="400"}',
        "mien_faces_total",
        'mien_photos_total{outcome="failed"}',
        'mien_rejections_total{kind="not-a-picture"}',
        'mien_request_seconds_count{route="/api/v1/predict"}',
    ]
    before = [count(name) for name in names]
    send(client, ("a.jpg", photo))
    send(client, ("a.jpg", b"no"))
    assert [count(name) - was for name, was in zip(names, before, strict=True)] == [1, 1, 1, 1, 1, 2]


def test_json_is_utf8_with_names_as_the_client_gave_them(client: httpx.Client, photo: bytes) -> None:
    name = "<b>'É家\\../x.jpg"
    assert json.loads(send(client, (name, photo)).content)["photo"] == name
