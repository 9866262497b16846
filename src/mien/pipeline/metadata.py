"""Metadata of a model file, written by the export and validated when the file is loaded."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mien.errors import ModelError
from mien.pipeline.align import ChipGeometry


def _rises(values: Sequence[float], strictly: bool = False) -> bool:
    return all(a < b or (a == b and not strictly) for a, b in pairwise(values))


class IntervalCalibration(BaseModel):
    """Calibration of the age intervals; see :mod:`mien.pipeline.intervals` for the method.

    The score of a face with label y is ``|F(y) - 1/2|``, where F is its predicted cumulative distribution
    function. The interval of a new face contains the ages y whose score is at most the half mass of y's band.

    Attributes:
        coverage: Increasing coverages in (0, 1).
        ages: Increasing first ages of the bands; the first band also contains all younger ages.
        half_mass: For each coverage, the half mass of each band, in [0, 0.5]. Files of earlier versions have
            one number per coverage, which holds for all ages.
        n: Number of calibration faces.
        from_bins: Whether the ages of these faces were labelled as bins, and drawn from within them by
            :func:`mien.evaluation.calibration.draw_ages`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: tuple[float, ...] = Field(min_length=2)
    ages: tuple[int, ...] = Field(default=(0,), min_length=1)
    half_mass: tuple[tuple[float, ...], ...] = Field(min_length=2)
    n: int = Field(ge=1)
    from_bins: bool = False

    @field_validator("half_mass", mode="before")
    @classmethod
    def _one_band(cls, value: object) -> object:
        if isinstance(value, list | tuple) and all(isinstance(row, int | float) for row in value):
            return tuple((row,) for row in value)
        return value

    @model_validator(mode="after")
    def _check_table(self) -> Self:
        if len(self.coverage) != len(self.half_mass):
            raise ValueError("coverage and half_mass differ in length")
        if not _rises(self.coverage, strictly=True) or self.coverage[0] <= 0 or self.coverage[-1] >= 1:
            raise ValueError("coverage does not rise within (0, 1)")
        if not _rises(self.ages, strictly=True):
            raise ValueError("ages do not rise")
        if any(len(row) != len(self.ages) for row in self.half_mass):
            raise ValueError("half_mass does not have one number for each of the ages")
        for column in zip(*self.half_mass, strict=True):
            if not _rises(column) or column[0] < 0 or column[-1] > 0.5:
                raise ValueError("half_mass does not rise within [0, 0.5]")
        return self


CHILD = 5
"""Apparent age in years below which faces have a gender threshold of their own."""


class GenderCalibration(BaseModel):
    """Platt scaling (Platt, "Probabilistic outputs for support vector machines", 1999) and label threshold.

    The calibrated log odds of "female" are ``slope`` times the log odds of the graph's output, plus
    ``intercept``. The defaults change nothing; they apply to files of earlier versions.

    Attributes:
        slope: Above 0.
        intercept: In natural log odds.
        unsure_below: Calibrated probability of the likelier gender below which the label is "uncertain"; with
            0.5 it never is.
        child_unsure_below: The same for faces of an apparent age below :data:`CHILD` years; with 1 the label
            is always "uncertain". None, as in files of earlier versions: ``unsure_below`` counts.
        n: Number of calibration faces; 0 if there were none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float = Field(default=1.0, gt=0)
    intercept: float = 0.0
    unsure_below: float = Field(default=0.5, ge=0.5, lt=1)
    child_unsure_below: float | None = Field(default=None, ge=0.5, le=1)
    n: int = Field(default=0, ge=0)

    def threshold_at(self, years: float) -> float:
        """Probability of the likelier gender below which a face of this apparent age gets no label."""
        own = self.child_unsure_below if years < CHILD else None
        return self.unsure_below if own is None else own


class ModelMetadata(BaseModel):
    """Everything that is needed to use a model file besides its graph.

    The input of the graph is ``chips``: float32 of shape (n, 3, input_size, input_size), scaled to [0, 1],
    then normalised by ``mean`` and ``std``, channels in ``channel_order``. The outputs are
    ``age_probabilities`` (n, age_max - age_min + 1), whose rows sum to 1, and ``p_female`` (n,).

    Attributes:
        name: Name of the recipe or model.
        version: Version of the weights.
        licence: Terms of use of the weights.
        geometry: Position of the face in a chip.
        input_size: Side of a chip in pixels.
        channel_order: ``RGB`` or ``BGR``.
        mean: Mean per channel, subtracted after scaling to [0, 1].
        std: Standard deviation per channel, by which the result is divided.
        age_min: Age in years of the first bin.
        age_max: Age in years of the last bin.
        gender_order: Labels for ``p_female`` near 0 and near 1.
        interval: Calibration of the age intervals.
        gender: Calibration of p(female).
        training_data: One line for each training data set.
        metrics: Figures by name, measured on data that was not used for training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    licence: str
    geometry: ChipGeometry
    input_size: int = Field(ge=16, le=1024)
    channel_order: str = Field(pattern="^(RGB|BGR)$")
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    age_min: int = Field(ge=0)
    age_max: int
    gender_order: tuple[str, str]
    interval: IntervalCalibration
    gender: GenderCalibration = GenderCalibration()
    training_data: tuple[str, ...]
    metrics: dict[str, float]

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        if self.age_max <= self.age_min:
            raise ValueError("age_max is not above age_min")
        if min(self.std) <= 0:
            raise ValueError("std is not positive")
        return self

    @property
    def age_note(self) -> str:
        """Caveat about the ages that calibrated the intervals; empty if the ages were exact."""
        if not self.interval.from_bins:
            return ""
        return (
            "The intervals were calibrated on faces whose ages were known as bins: their coverage across "
            "bins is measured, but within a bin it relies on the model's own distribution."
        )

    def to_properties(self) -> dict[str, str]:
        """The ONNX ``metadata_props``: one JSON text under the key ``mien``."""
        return {"mien": self.model_dump_json()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], source: str) -> Self:
        """Read what :meth:`to_properties` wrote.

        Raises:
            ModelError: If anything is missing or wrong; the message names it.
        """
        if "mien" not in properties:
            raise ModelError(
                f"{source} has no mien metadata (chip geometry, normalisation, age support …); "
                "use a file that 'mien export' wrote."
            )
        try:
            return cls.model_validate_json(properties["mien"])
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "metadata"
            raise ModelError(
                f"{source} has unusable mien metadata ({where}: {first['msg'].lower()}); export it again."
            ) from None
