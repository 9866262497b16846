"""The base class of mien's own detectors, which can work on photos of different sizes."""

from typing import Self


class AdjustableDetector:
    """A detector that shrinks photos until their longest side has ``longest_side`` pixels."""

    longest_side: int

    def with_longest_side(self, longest_side: int) -> Self:
        """A copy of this detector with another longest side; both share the loaded model.

        Args:
            longest_side: Longest side in pixels to which photos are shrunk.
        """
        other = object.__new__(type(self))  # copy.copy would load the file again
        vars(other).update(vars(self), longest_side=longest_side)
        return other
