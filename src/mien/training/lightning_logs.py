"""Suppression of Lightning's tips and irrelevant warnings during a run."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("lightning.pytorch", "lightning.fabric")
BESIDE_THE_POINT = (
    r".*LeafSpec.* is deprecated",  # concerns Lightning's own use of PyTorch
    r".*does not have many workers",  # chips are memory-mapped; workers would only copy them
    r".*smaller than the logging interval",  # epochs are logged, whatever their length
    r"Found \d+ module\(s\) in eval mode",  # the frozen trunk, as intended
    r"Checkpoint directory .* exists and is not empty",  # normal for a resumed run
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's tips and the warnings above; all other warnings and all errors are shown."""
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
