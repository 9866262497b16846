"""The errors that mien raises: the message is one sentence that names the input and says what to do."""


class MienError(Exception):
    """Base class of all errors that a user can cause; ``str(error)`` is the message to show.

    Attributes:
        exit_status: Exit status of the command line.
    """

    exit_status: int = 2


class ImageError(MienError):
    """A photo cannot be read, or is not one."""


class PhotoTooLargeError(ImageError):
    """A photo has too many bytes, pixels or faces."""


class DetectorError(MienError):
    """A face detector cannot be set up (unknown name, missing or wrong file)."""


class ModelError(MienError):
    """A model file is missing, unreadable, or lacks what mien needs to use it."""


class DeviceError(MienError):
    """A requested device is unknown or missing, or this ONNX Runtime cannot use it."""


class DataError(MienError):
    """A data folder, manifest or label does not have the expected form."""


class TrainingError(MienError):
    """A training run cannot be started, resumed or exported as requested."""


class StoppedError(TrainingError):
    """A training run was stopped by a signal: Ctrl-C, or SIGTERM.

    Args:
        sentence: The message to show.
        signum: The signal's number; the exit status is 128 more, as in shells.
    """

    def __init__(self, sentence: str, signum: int) -> None:
        """Store the message and derive the exit status."""
        super().__init__(sentence)
        self.exit_status = 128 + signum


class AnnotationError(MienError):
    """A collection cannot be annotated as requested, or the run had to stop; what is written is kept.

    Args:
        sentence: The message to show.
        exit_status: 2 if nothing was started; 1, or 128 plus the signal's number, if the run was stopped.
    """

    def __init__(self, sentence: str, exit_status: int = 2) -> None:
        """Store the message and the exit status."""
        super().__init__(sentence)
        self.exit_status = exit_status


class ServerError(MienError):
    """The server cannot start as requested, or a server cannot be reached or refuses a request."""
