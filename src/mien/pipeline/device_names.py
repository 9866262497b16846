"""Names of the devices that a model can run on; imports nothing heavy, so the command line can list them."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "coreml", "directml", "openvino"]
