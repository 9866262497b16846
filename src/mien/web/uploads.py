"""The photos of a request, read wholly in memory."""

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from mien.images import EncodedPhoto
from mien.web.problems import Problem, not_a_picture, too_large, wrong_kind, wrong_option
from mien.web.settings import Settings


class _MemoryParser(MultiPartParser):
    """Starlette's parser, but nothing spills into a temporary file: 0 stands for no limit."""

    spool_max_size = 0


async def read_photos(request: Request, settings: Settings) -> tuple[list[EncodedPhoto], dict[str, str]]:
    """Read the photos and the form fields of a request.

    A body of type ``multipart/form-data`` may hold several photos, whatever their field's name; any other
    picture or byte type is one photo.

    Args:
        request: Its body must not have been read.
        settings: For the number of photos.

    Returns:
        At least one photo, under the names the client gave; and the form's other fields.

    Raises:
        Problem: 400 for no photo or a broken form, 408, 413, 415, 503.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request, settings)
    if kind.startswith("image/") or kind == "application/octet-stream":
        return [EncodedPhoto("<bytes>", await request.body())], {}
    raise wrong_kind("Send photos as multipart/form-data, or one photo as image/jpeg or another image type.")


async def _read_form(request: Request, settings: Settings) -> tuple[list[EncodedPhoto], dict[str, str]]:
    parser = _MemoryParser(
        request.headers, request.stream(), max_files=settings.max_files, max_fields=32, max_part_size=10_000
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _problem_of_form(error, settings) from None
    try:
        photos = [
            EncodedPhoto(item.filename or "<bytes>", await item.read())
            for _, item in form.multi_items()
            if isinstance(item, UploadFile) and (item.filename or item.size)
        ]
        fields = _fields(form)
    finally:
        await form.close()
    if not photos:
        raise not_a_picture("The form holds no photo; add one as a file.")
    return photos, fields


def _problem_of_form(error: MultiPartException, settings: Settings) -> Problem:
    if error.message.startswith("Too many files"):
        return too_large(
            f"A request may hold {settings.max_files} photos at most; send the others in another."
        )
    if error.message.startswith(("Too many", "Part exceeded")):
        return too_large("The form has too many fields, or one that is too long; photos belong into files.")
    return Problem(400, "broken-form", "The form cannot be read; send it as multipart/form-data.")


def _fields(form: FormData) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            continue
        if name in fields:
            raise wrong_option("An option is given twice; give it once.")
        fields[name] = value
    return fields
