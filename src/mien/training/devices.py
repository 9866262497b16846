"""Choice of a run's devices and precision."""

import os

import torch

from mien.errors import TrainingError


def choose_precision(precision: str) -> str:
    """Return Lightning's name of a precision; ``auto`` is bfloat16 if the device supports it, else float32.

    A processor without bfloat16 instructions emulates them, at a tenth of the speed of float32.
    """
    if precision != "auto":
        return precision
    return "bf16-mixed" if _has_bfloat16() else "32-true"


def check_devices(devices: str) -> None:
    """Refuse more processes than a machine without a GPU has cores, since they would wait for one another.

    Raises:
        TrainingError: If there are more.
    """
    if _has_gpu() or not devices.isdecimal():
        return
    cores = _cores()
    if int(devices) > cores:
        raise TrainingError(
            f"{devices} devices are asked for, but there is no GPU, and one process uses all {cores} cores "
            "of the processor; give --devices 1."
        )


def _has_gpu() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _has_bfloat16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.backends.mps.is_available():
        return False
    # The second check respects ATEN_CPU_CAPABILITY, the first does not.
    hardware = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(hardware) and "AVX512" in torch.backends.cpu.get_cpu_capability()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
