"""Devices that can run an ONNX graph: the CPU, and the accelerators of ONNX Runtime's execution providers."""

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
"""Exceptions that ONNX Runtime raises if it cannot run a graph or load a library."""

CPU = "CPUExecutionProvider"

_FATAL, _WARNING = 4, 2
"""Severity levels of ONNX Runtime's log; the second is its default."""


@dataclass(frozen=True)
class Accelerator:
    """One of ONNX Runtime's execution providers.

    Attributes:
        device: Its name in mien.
        provider: Its name in ONNX Runtime.
        package: Distribution that contains it. Unless it is a plug-in, the package replaces onnxruntime.
        cure: What it needs and how to get it, for the error message.
        options: Options of the provider, used if it is built in.
        plugin: Module of a package that adds the provider to onnxruntime.
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
        """Whether this ONNX Runtime has the provider; its hardware or libraries may still be missing."""
        return self._built_in() or bool(self._hardware())

    def add_to(self, options: Any) -> list[Any]:
        """Prepare a session's options; return the providers to pass to the session with them."""
        if self.device == "cuda":
            _load_cuda()
        if not self.concurrent:
            options.enable_mem_pattern = False  # required by DirectML
        if self._built_in():
            return [(self.provider, self.options), CPU]
        options.add_provider_for_devices(self._hardware()[:1], {})
        return []

    def missing(self) -> DeviceError:
        """The error to raise if this device is requested but cannot be used."""
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
        """Devices of the plug-in, the CPU first: its results are closest to those of the CPU provider."""
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
        # Full float32 precision, as on the CPU, and no search over all algorithms for each size of photo.
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
"""All accelerators, in the order in which ``auto`` tries them."""


def accelerators(device: str) -> list[Accelerator]:
    """Accelerators to try for a device: none for ``cpu``, all that are present for ``auto``.

    Raises:
        DeviceError: If the device is unknown or missing.
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
    """The device that a session runs on."""
    first = session.get_providers()[0]
    return next((one.device for one in ACCELERATORS if one.provider == first), "cpu")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Silence ONNX Runtime on stdout and stderr while it tries a device: mien raises its own error."""
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)


def _runtimes() -> list[str]:
    """The installed distributions of ONNX Runtime; several of them overwrite each other's files."""
    names = ["onnxruntime", *(accelerator.package for accelerator in ACCELERATORS)]
    return [name for name in dict.fromkeys(names) if _installed(name)]


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


@cache  # a provider can be registered only once
def _register(provider: str, plugin: str) -> None:
    if util.find_spec(plugin) is None:
        return
    with contextlib.suppress(*REFUSALS):  # with libraries that do not fit the system, it has no devices
        onnxruntime.register_execution_provider_library(provider, import_module(plugin).get_library_path())


@cache
def _load_cuda() -> None:
    """Load the libraries in NVIDIA's Python packages, which are not on the system's search path."""
    if hasattr(onnxruntime, "preload_dlls"):  # from 1.21
        onnxruntime.preload_dlls()
