"""mien: apparent age and perceived gender from photos of faces."""
