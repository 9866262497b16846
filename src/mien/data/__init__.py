"""Data sets of faces: index, audit, look at and split them. Needs the extra ``train``."""
