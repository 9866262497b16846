"""Annotating collections of photos: into Parquet, resumable, on one machine or a cluster."""
