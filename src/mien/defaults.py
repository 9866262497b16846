"""What is used where nothing is named; light, so that the command line can show it without loading more."""

DEFAULT_DETECTOR = "mien"
