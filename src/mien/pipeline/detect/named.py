"""Detectors by name."""

from threading import Lock

from mien.pipeline.detect import AdjustableDetector, Detector, make_detector
from mien.pipeline.device_names import Device


class NamedDetectors:
    """A predictor's own detector, and others by name, which are created on first use."""

    def __init__(self, own: Detector, name: str | None, device: Device) -> None:
        """Store the predictor's detector, its name if it has one, and the device of the others."""
        self._made: dict[str | None, Detector] = {None: own, name: own}
        self._device = device
        self._lock = Lock()

    def get(self, name: str | None, longest_side: int | None) -> Detector:
        """Get a detector by name.

        Args:
            name: As in :func:`~mien.pipeline.detect.make_detector`; None for the predictor's own detector.
            longest_side: Longest side in pixels to which photos are shrunk; None for the detector's default.

        Raises:
            DetectorError: If there is no such detector, or it cannot be set up.
            DeviceError: If the device cannot be used.
            ValueError: If a longest side is given for a detector that is not one of mien's.
        """
        with self._lock:
            if name not in self._made:
                self._made[name] = make_detector(str(name), device=self._device)
            made = self._made[name]
        if longest_side is None:
            return made
        if not isinstance(made, AdjustableDetector):
            raise ValueError(
                "longest_side is for mien's own detectors; this predictor has another one, so leave it out"
            )
        return made.with_longest_side(longest_side)
