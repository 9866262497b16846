"""Decoding of picture files to upright RGB, with one module per aspect."""
