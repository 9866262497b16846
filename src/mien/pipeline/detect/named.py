"""Detectors by name."""

from threading import Lock

from mien.pipeline.detect import AdjustableDetector, Detector, make_detector
from mien.pipeline.device_names import Device


class NamedDetectors:
    """A predictor's own detector, and others by name, made when they are first asked for."""

    def __init__(self, own: Detector, name: str | None, device: Device) -> None:
        """Take the predictor's own, and its name if it has one; the others run on the device."""
        self._made: dict[str | None, Detector] = {None: own, name: own}
        self._device = device
        self._lock = Lock()

    def get(self, name: str | None, longest_side: int | None) -> Detector:
        """The detector of a name; None for the predictor's own.

        Args:
            name: As :func:`~mien.pipeline.detect.make_detector` takes it.
            longest_side: In pixels, of photos as the detector sees them; None for the detector's own choice.

        Raises:
            DetectorError: If there is no such detector, or it cannot be set up.
            ValueError: If a longest side is asked of a detector that is not one of mien's.
        """
        with self._lock:
            if name not in self._made:
                self._made[name] = make_detector(str(name), device=self._device)
            made = self._made[name]
        if longest_side is None:
            return made
        if not isinstance(made, AdjustableDetector):
            raise ValueError(
                "longest_side is for mien's own detectors; the predictor's is another one, so leave it out"
            )
        return made.with_longest_side(longest_side)
