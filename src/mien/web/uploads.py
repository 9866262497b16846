"""Reading of the photos of a request, entirely in memory."""

from starlette.requests import Request

from mien.pipeline.images import EncodedPhoto
from mien.web.forms import read_form
from mien.web.json_photos import read_document
from mien.web.problems import wrong_kind
from mien.web.settings import Settings
from mien.web.signatures import looks_like_a_picture

UNTOLD = ("", "application/x-www-form-urlencoded", "binary/octet-stream")
"""Content types that say nothing about the body: none, the default of ``curl``, and that of object stores."""


async def read_photos(request: Request, settings: Settings) -> tuple[list[EncodedPhoto], dict[str, str]]:
    """Read the photos and the form fields of a request.

    A body of type ``multipart/form-data`` may hold several photos in fields of any name; a body of type
    ``application/json`` may hold several in base64. A body of an image type or ``application/octet-stream``
    is one photo; so is a body of one of the :data:`UNTOLD` types if it begins like a picture.

    Args:
        request: The request; its body must not have been read.
        settings: Limits on the number and size of photos.

    Returns:
        At least one photo, under the name that the client gave, and the other fields.

    Raises:
        Problem: 400 for no photo or an invalid body, 408 for a slow request, 413 for a limit, 415 for another
            type, 422 for an option given twice, 503 if the memory for uploads is full.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise wrong_kind("The body is compressed (Content-Encoding); send it uncompressed.")
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
