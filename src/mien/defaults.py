"""What is used where nothing is named, and what may be; light, so that the command line can show it."""

from typing import Literal

DEFAULT_DETECTOR = "mien"

Device = Literal["auto", "cpu", "cuda", "coreml", "directml", "openvino"]
