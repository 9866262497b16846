"""What an ONNX graph can be run on: the processor, or what one of ONNX Runtime's providers drives."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module, metadata, util
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from mien.errors import DeviceError
from mien.pipeline.device_names import Device

REFUSALS = (
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NoSuchFile,
    runtime.NotImplemented,
    runtime.RuntimeException,
)
"""What ONNX Runtime raises where it cannot run a graph or load a library."""

CPU = "CPUExecutionProvider"

_FATAL, _WARNING = 4, 2
"""Levels of ONNX Runtime's log; the second is its default."""


@dataclass(frozen=True)
class Accelerator:
    """One of ONNX Runtime's providers.

    Attributes:
        device: What mien calls it.
        provider: What ONNX Runtime calls it.
        package: Distribution that brings it; it takes the place of onnxruntime where it is not a plug-in.
        cure: How to get it.
        options: Of the provider, if it is built in.
        plugin: Module of a package that adds it to onnxruntime.
        concurrent: Whether several threads may run one session.
    """

    device: Device
    provider: str
    package: str
    cure: str
    options: dict[str, str] = field(default_factory=dict)
    plugin: str = ""
    concurrent: bool = True

    def present(self) -> bool:
        """Whether this ONNX Runtime has it; it may still find no hardware or libraries."""
        return self._built_in() or bool(self._hardware())

    def add_to(self, options: Any) -> list[Any]:
        """Prepare a session's options; return the providers to name to it beside them."""
        if self.device == "cuda":
            _load_cuda()
        if not self.concurrent:
            options.enable_mem_pattern = False  # which DirectML asks for
        if self._built_in():
            return [(self.provider, self.options), CPU]
        options.add_provider_for_devices(self._hardware()[:1], {})
        return []

    def missing(self) -> DeviceError:
        """What to say where it is asked for and cannot be used."""
        there = _runtimes()
        if not self._built_in() and "onnxruntime" in there and self.package in there[1:]:
            return DeviceError(
                f"{self.device} cannot be used here: {' and '.join(there)} overwrite each other; run "
                f"'pip uninstall -y {' '.join(there)}' and then 'pip install {self.package}'."
            )
        return DeviceError(f"{self.device} cannot be used here: {self.cure}. cpu works everywhere.")

    def _built_in(self) -> bool:
        return self.provider in onnxruntime.get_available_providers()

    def _hardware(self) -> list[Any]:
        """What a plug-in drives, the processor first: there answers are closest to mien's own."""
        if not hasattr(onnxruntime, "get_ep_devices"):  # before 1.23
            return []
        if self.plugin:
            _register(self.provider, self.plugin)
        found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == self.provider]
        return sorted(found, key=lambda device: device.device.type != onnxruntime.OrtHardwareDeviceType.CPU)


ACCELERATORS = (
    Accelerator(
        "cuda",
        "CUDAExecutionProvider",
        "onnxruntime-gpu",
        "it needs an NVIDIA GPU, its driver, and in place of onnxruntime another build: 'pip uninstall -y "
        "onnxruntime', then 'pip install onnxruntime-gpu[cuda,cudnn]'",
        # Whole float32, as the processor computes, and no trial of every algorithm for each size of photo.
        {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"},
    ),
    Accelerator(
        "directml",
        "DmlExecutionProvider",
        "onnxruntime-directml",
        "it needs Windows, and in place of onnxruntime another build: 'pip uninstall -y onnxruntime', then "
        "'pip install onnxruntime-directml'",
        concurrent=False,
    ),
    Accelerator("coreml", "CoreMLExecutionProvider", "onnxruntime", "it needs a Mac"),
    Accelerator(
        "openvino",
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        "it needs an Intel processor and 'pip install mien[openvino]'",
        {"device_type": "CPU"},
        plugin="onnxruntime_ep_openvino",
    ),
)
"""In the order in which ``auto`` tries them."""


def accelerators(device: str) -> list[Accelerator]:
    """Those to try for a device: none for the processor, all that are present for ``auto``.

    Raises:
        DeviceError: If the device is not one, or is missing.
    """
    if device == "cpu":
        return []
    if device == "auto":
        return [accelerator for accelerator in ACCELERATORS if accelerator.present()]
    named = [accelerator for accelerator in ACCELERATORS if accelerator.device == device]
    if not named:
        names = ", ".join(accelerator.device for accelerator in ACCELERATORS)
        raise DeviceError(f"There is no device {device!r}; choose auto, cpu, {names}.")
    if not named[0].present():
        raise named[0].missing()
    return named


def device_of(session: Any) -> Device:
    """What a session runs on."""
    first = session.get_providers()[0]
    return next((one.device for one in ACCELERATORS if one.provider == first), "cpu")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep ONNX Runtime from printing, to either stream, why a device cannot be used: an error says so."""
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)


def _runtimes() -> list[str]:
    """The distributions of ONNX Runtime that are installed; more than one overwrite each other's files."""
    names = ["onnxruntime", *(accelerator.package for accelerator in ACCELERATORS)]
    return [name for name in dict.fromkeys(names) if _installed(name)]


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


@cache  # it can be registered once
def _register(provider: str, plugin: str) -> None:
    if util.find_spec(plugin) is None:
        return
    with contextlib.suppress(*REFUSALS):  # where its libraries do not fit this system, it has no devices
        onnxruntime.register_execution_provider_library(provider, import_module(plugin).get_library_path())


@cache
def _load_cuda() -> None:
    """Find the libraries that NVIDIA's packages hold, which the system does not know of."""
    if hasattr(onnxruntime, "preload_dlls"):  # from 1.21
        onnxruntime.preload_dlls()
