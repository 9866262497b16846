"""Data sets of faces: indexing, auditing, viewing, cropping and splitting. Needs the extra ``train``."""
