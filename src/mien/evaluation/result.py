"""The result of an evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from mien.evaluation.groups import Scores
from mien.pipeline.metadata import ModelMetadata

if TYPE_CHECKING:
    from mien.request import Faces


@dataclass(frozen=True, slots=True)
class StoredModel:
    """Placeholder for the unknown model when stored predictions are evaluated.

    Attributes:
        name: Name of the table's file, without the extension.
    """

    name: str
    version: str = ""
    training_data: tuple[str, ...] = ()
    licence: str = "not known: these are stored predictions"
    age_note: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        manifest: Name of the manifest's file.
        split: The split that was evaluated; None for all rows.
        faces: ``aligned`` or ``detect``.
        model: The model's metadata.
        recalibrated: Whether cross-calibration on the manifest replaced the model's own calibration.
        coverage: Intended coverage of the age intervals, in [0, 1]; None if not known.
        labels: n rows of the manifest.
        predictions: n rows with their predictions: ``path, age, age_low, age_high, p_female, detected,
            gender, error, unreadable``.
        scores: The metrics, overall and by group.
        gender_probabilities: See :func:`~mien.evaluation.metrics.gender_figures`.
    """

    manifest: str
    split: str | None
    faces: "Faces"
    model: ModelMetadata | StoredModel
    recalibrated: bool
    coverage: float | None
    labels: pd.DataFrame
    predictions: pd.DataFrame
    scores: Scores
    gender_probabilities: Mapping[str, float]

    @property
    def unreadable(self) -> list[str]:
        """One sentence per picture that could not be read."""
        return [str(error) for error in self.predictions["error"].dropna()]

    @property
    def notes(self) -> list[str]:
        """Notes that are necessary to interpret the figures, one sentence each."""
        known = self.labels["gender"][self.labels["gender"] != ""]
        genders = known.unique()
        if len(known) < 2 or len(genders) != 1:
            return []
        return [
            f"All labelled genders are {genders[0]}: the accuracy does not say whether the two can be told "
            "apart."
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``metrics.json``."""
        return {
            "manifest": self.manifest,
            "split": self.split,
            "faces": self.faces,
            "model": {
                "name": self.model.name,
                "version": self.model.version,
                "training_data": list(self.model.training_data),
                "licence": self.model.licence,
                "age_note": self.model.age_note,
            },
            "recalibrated": self.recalibrated,
            "interval_coverage_aimed_at": self.coverage,
            "rows": len(self.labels),
            "unreadable": len(self.unreadable),
            "detected": int(self.predictions["detected"].sum()),
            **self.scores.to_json(),
            "gender_probabilities": dict(self.gender_probabilities),
            "notes": self.notes,
        }
