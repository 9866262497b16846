"""What mien's own detectors have in common: they may look at photos larger or smaller."""

from typing import Self


class AdjustableDetector:
    """A detector that shrinks photos until their longest side has ``longest_side`` pixels."""

    longest_side: int

    def with_longest_side(self, longest_side: int) -> Self:
        """The same detector for photos of another size; both share what was loaded.

        Args:
            longest_side: In pixels, of photos as the detector sees them.
        """
        other = object.__new__(type(self))  # copy.copy would load the file again
        vars(other).update(vars(self), longest_side=longest_side)
        return other
