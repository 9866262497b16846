"""Annotating collections of photos: into Parquet, resumable, on one machine or a cluster."""

from mien.annotate.look import Setup
from mien.annotate.record import Counts
from mien.annotate.run import Summary, annotate

__all__ = ["Counts", "Setup", "Summary", "annotate"]
