"""The errors mien raises: each carries one sentence that names the input and says what to do about it."""


class MienError(Exception):
    """Base of every error a user of mien can cause; ``str(error)`` is the sentence to show."""


class ImageError(MienError):
    """A photo cannot be read, or is not one."""


class PhotoTooLargeError(ImageError):
    """A photo has more bytes, pixels or faces than are looked at."""


class DetectorError(MienError):
    """A face detector cannot be set up (unknown name, missing or wrong file)."""


class ModelError(MienError):
    """A model file is missing, unreadable, or lacks what mien needs to use it."""


class DataError(MienError):
    """A data folder, manifest or label does not have the expected form."""


class TrainingError(MienError):
    """A training run cannot start, resume or be exported as asked."""


class ServerError(MienError):
    """The server cannot start as asked, or one cannot be reached or refuses what it is sent."""
