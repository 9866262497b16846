"""Lightning's chatter, switched off while a run lasts and no longer."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("lightning.pytorch", "lightning.fabric")
BESIDE_THE_POINT = (
    r".*LeafSpec.* is deprecated",  # Lightning's own use of PyTorch
    r".*does not have many workers",  # chips are mapped into memory; workers would only copy them
    r".*smaller than the logging interval",  # epochs are logged, whatever their length
    r"Found \d+ module\(s\) in eval mode",  # a frozen trunk
    r"Checkpoint directory .* exists and is not empty",  # a resumed run's own
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's tips and the warnings above; every other warning, and all errors, come through."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in BESIDE_THE_POINT:
            warnings.filterwarnings("ignore", message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
