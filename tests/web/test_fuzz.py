"""Whatever is sent, the server answers with what its OpenAPI document says, and never fails."""

import io
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live import live
from PIL import Image
from schemathesis.core.result import Ok

from mien.web.app import create_app
from mien.web.settings import Settings


@pytest.fixture(scope="module")
def address(tiny_model: Path) -> Iterator[str]:
    with live(create_app(Settings(model=tiny_model, max_upload_mb=1, max_files=999, queue=999))) as address:
        yield address


with io.BytesIO() as buffer:
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    PNG = buffer.getvalue()
# Other bytes are no photo.
schemathesis.openapi.media_type("application/octet-stream", st.just(PNG))
schemathesis.openapi.format("binary", st.just(PNG))
schemathesis.openapi.format("base64-picture", st.just(b64encode(PNG).decode()))


def test_answers_are_those_of_the_openapi_document(address: str) -> None:
    document = schemathesis.openapi.from_url(f"{address}/openapi.json")
    for result in document.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=15, suppress_health_check=list(HealthCheck))
        def check(case: Any) -> None:
            case.call_and_validate()

        check()


parts = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from(
            [
                b"--cut\r\n",
                b"\r\n--cut\r\n",
                b"\r\n--cut--\r\n",
                b"--cut--",
                b'Content-Disposition: form-data; name="photo"; filename="a.jpg"\r\n',
                b"Content-Disposition: form-data; name=photo; filename*=UTF-8''%ff\r\n",
                b'Content-Disposition: form-data; name="faces"\r\n\r\naligned',
                b"Content-Disposition: form-data\r\n",
                b"Content-Type: image/jpeg\r\n",
                b"\r\n",
                b"\r\n\r\n",
                b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01"
                b"\x00\x00\x02\x02D\x01\x00;",
            ]
        ),
    ),
    max_size=12,
).map(b"".join)


@given(
    parts,
    st.sampled_from(
        ["multipart/form-data; boundary=cut", "multipart/form-data", "multipart/form-data; boundary="]
    ),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_form_is_answered_or_refused_with_a_problem(
    connection: httpx.Client, body: bytes, kind: str
) -> None:
    response = connection.post("/api/v1/predict", content=body, headers={"Content-Type": kind})
    assert response.status_code in (200, 400, 413, 422)
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"
        assert set(response.json()) == {"type", "title", "status", "detail"}


@pytest.fixture(scope="module")
def connection(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client
