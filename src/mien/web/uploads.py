"""The photos of a request, read wholly in memory."""

from starlette.requests import Request

from mien.pipeline.images import EncodedPhoto
from mien.web.forms import read_form
from mien.web.json_photos import read_document
from mien.web.problems import wrong_kind
from mien.web.settings import Settings
from mien.web.signatures import looks_like_a_picture

UNTOLD = ("", "application/x-www-form-urlencoded", "binary/octet-stream")
"""Types that clients send without meaning them: none, ``curl --data-binary``'s, and that of object stores."""


async def read_photos(request: Request, settings: Settings) -> tuple[list[EncodedPhoto], dict[str, str]]:
    """Read the photos and the form fields of a request.

    A body of type ``multipart/form-data`` may hold several photos, whatever their field's name; so may one of
    type ``application/json``, as base64. Any other picture or byte type is one photo.

    Args:
        request: Its body must not have been read.
        settings: For the number of photos, and their bytes.

    Returns:
        At least one photo, under the names the client gave; and the form's other fields.

    Raises:
        Problem: 400 for no photo or a broken form, 408, 413, 415, 422, 503.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise wrong_kind("The body is compressed (Content-Encoding); send it as it is, photos gain nothing.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await read_form(request, settings)
    if kind == "application/json":
        return read_document(await request.body(), settings)
    if kind.startswith("image/") or kind == "application/octet-stream":
        return [EncodedPhoto("<bytes>", await request.body())], {}
    if kind in UNTOLD and looks_like_a_picture(data := await request.body()):
        return [EncodedPhoto("<bytes>", data)], {}
    raise wrong_kind(
        "Send photos as multipart/form-data, or one photo as image/jpeg or another image type; with curl: "
        "-F photo=@FILE, or --data-binary @FILE -H 'Content-Type: image/jpeg'."
    )
