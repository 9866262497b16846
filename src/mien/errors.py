"""The errors mien raises: each carries one sentence that names the input and says what to do about it."""


class MienError(Exception):
    """Base of every error a user of mien can cause; ``str(error)`` is the sentence to show.

    Attributes:
        exit_status: What the command line ends with.
    """

    exit_status: int = 2


class ImageError(MienError):
    """A photo cannot be read, or is not one."""


class PhotoTooLargeError(ImageError):
    """A photo has more bytes, pixels or faces than are looked at."""


class DetectorError(MienError):
    """A face detector cannot be set up (unknown name, missing or wrong file)."""


class ModelError(MienError):
    """A model file is missing, unreadable, or lacks what mien needs to use it."""


class DeviceError(MienError):
    """A device that is asked for is not there, or this ONNX Runtime cannot use it."""


class DataError(MienError):
    """A data folder, manifest or label does not have the expected form."""


class TrainingError(MienError):
    """A training run cannot start, resume or be exported as asked."""


class StoppedError(TrainingError):
    """A training run was stopped by a signal: Ctrl-C, or SIGTERM.

    Args:
        sentence: To show.
        signum: The signal's number; the exit status is 128 more, as shells have it.
    """

    def __init__(self, sentence: str, signum: int) -> None:
        """Take the sentence and the signal."""
        super().__init__(sentence)
        self.exit_status = 128 + signum


class AnnotationError(MienError):
    """A collection cannot be annotated as asked, or no further; what is written stands.

    Args:
        sentence: To show.
        exit_status: 2 where nothing was begun; 1, or 128 and a signal's number, where it ended on the way.
    """

    def __init__(self, sentence: str, exit_status: int = 2) -> None:
        """Take the sentence and the status."""
        super().__init__(sentence)
        self.exit_status = exit_status


class ServerError(MienError):
    """The server cannot start as asked, or one cannot be reached or refuses what it is sent."""
