"""The names of what a model can run on; light, so that the command line can show them."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "coreml", "directml", "openvino"]
