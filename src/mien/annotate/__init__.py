"""Annotating collections: photos by the hundred thousand into Parquet, resumable, on one machine or several."""
