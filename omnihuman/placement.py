"""Where networks and their inputs go: on which device, in which dtype, on how many threads."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from diffusers.utils.torch_utils import get_module_execution_device
from torch import nn

from media.user_error import UserError
from omnihuman.bases.quantised import check_quantised, quantise, quantised_as
from omnihuman.precision import cast_weights
from profiles import Profile

AUTO, CPU = "auto", "cpu"


class NoSuchDevice(UserError):
    """A device that this machine does not have; the message lists those that it has."""

    exit_code = 2


class NoBfloat16(UserError):
    """A GPU that does not compute in bfloat16, where a setting asks for it; the message names both."""

    exit_code = 2


def devices() -> list[str]:
    """Names of what this machine computes on, the processor first."""
    return [CPU, *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]


def choose_device(asked: str, key: str = "evaluation.device") -> torch.device:
    """The device of a name: `auto` is the first GPU if there is one, else the processor; `cuda` the first GPU.

    Args:
        asked: the name.
        key: the setting that says it, for the message.

    Raises:
        NoSuchDevice: it is not there.
    """
    there = devices()
    if asked == AUTO:
        return torch.device(there[1] if len(there) > 1 else CPU)
    name = "cuda:0" if asked == "cuda" else asked
    if name not in there:
        raise NoSuchDevice(f"{key} is {asked}, and this machine has {', '.join(there)}; choose one of them, or auto")
    return torch.device(name)


def sharing_devices(asked: str, processes: int | None, key: str = "evaluation.device") -> list[str]:
    """The device of each process that shares work: every GPU where `asked` is `auto` or `cuda` and there are some, else the one that is asked for.

    Args:
        asked, key: as of `choose_device`, whose errors it has.
        processes: how many there are to be, in turns on these devices; None is one a device.
    """
    gpus = devices()[1:]
    there = gpus if asked in (AUTO, "cuda") and gpus else [str(choose_device(asked, key))]
    return [there[number % len(there)] for number in range(processes or len(there))]


def choose_dtype(profile: Profile, device: torch.device) -> torch.dtype:
    """In which dtype the profile's models compute there: as `evaluation.dtype` says; by default float32 on a processor, and on a GPU the
    dtype that they were trained in, if it computes in it.

    Raises:
        NoBfloat16: bfloat16 is asked for by name, and this GPU does not compute in it.
    """
    asked = profile.evaluation.dtype
    if asked == "bfloat16":
        check_bfloat16("evaluation.dtype is bfloat16", "evaluation.dtype to float32", device)
        return torch.bfloat16
    return trained_dtype(profile, device) if asked == AUTO else torch.float32


def trained_dtype(profile: Profile, device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU that computes in it, where the profile trains in it; else float32."""
    trained = profile.engine.precision == "bf16" and device.type == "cuda"
    return torch.bfloat16 if trained and torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32


def choose_quantised(profile: Profile, device: torch.device) -> str:
    """`int8` or `fp8` where the profile's models are to hold their matrices so, "" where not.

    Raises:
        omnihuman.bases.quantised.CannotQuantise: it is asked for and cannot be had on this device.
    """
    asked = profile.evaluation.quantise
    if asked == "none":
        return ""
    check_quantised(asked, device)
    return asked


def numbers_name(dtype: torch.dtype, quantised: str) -> str:
    """`bfloat16` of `torch.bfloat16`, or `bfloat16, weights in int8`: as records and scores say what a model computed in."""
    name = str(dtype).removeprefix("torch.")
    return f"{name}, weights in {quantised}" if quantised else name


def numbers_of(transformer: Any) -> str:
    """`numbers_name` of a transformer as it is."""
    return numbers_name(transformer.dtype, quantised_as(transformer))


def check_bfloat16(asked: str, remedy: str, device: torch.device) -> None:
    """Nothing, unless `device` is a GPU that does not compute in bfloat16; a processor without it imitates it.

    Args:
        asked: the setting that wants it, with its value.
        remedy: a setting and the value that does without.
        device: on which.

    Raises:
        NoBfloat16: names the setting, the GPU and the remedy.
    """
    if device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False):
        return
    kind, capability = torch.cuda.get_device_name(device), ".".join(map(str, torch.cuda.get_device_capability(device)))
    raise NoBfloat16(
        f"{asked}, and {device} ({kind}, compute capability {capability}) does not compute in it: set {remedy}, or take a GPU of capability 8.0 or more"
    )


def place_pipeline(pipeline: Any, profile: Profile, keep_dtype: bool = False) -> Any:
    """Bring a pipeline to where the profile's models compute, and return it.

    In bfloat16 are then the weights of transformer and text encoders, but for those that Wan keeps in float32; sound is encoded in float32,
    and the autoencoder in what it was loaded in. `evaluation.quantise` rounds the transformer's matrices.

    Args:
        pipeline: an `OmniHumanPipeline`.
        profile: `evaluation.device`, `evaluation.dtype`, `evaluation.quantise`, and what was trained in.
        keep_dtype: only move it, because its weights are still to be saved.

    Raises:
        NoSuchDevice: as `choose_device`.
        omnihuman.bases.quantised.CannotQuantise: as `choose_quantised`.
    """
    device = choose_device(profile.evaluation.device)
    if keep_dtype:
        return bring_pipeline(pipeline, device, None)
    return bring_pipeline(pipeline, device, choose_dtype(profile, device), choose_quantised(profile, device))


def bring_pipeline(pipeline: Any, device: torch.device, dtype: torch.dtype | None, quantised: str = "") -> Any:
    """As `place_pipeline`, where no profile says where to; None leaves the weights in their own dtype."""
    if dtype is not None:
        cast_weights(pipeline.transformer, dtype)
        for model in pipeline.text_encoders:
            model.to(dtype)
    if quantised:
        quantise(pipeline.transformer, quantised, device)
    return pipeline.to(device)


def execution_device(module: nn.Module) -> torch.device:
    """The device of its weights; where they are offloaded, the one that they are brought to for a forward pass.

    diffusers' `get_module_execution_device` answers the same and looks for hooks in every submodule. That is asked only where weights
    can be offloaded: they are on `meta`, or on the processor of a machine with an accelerator.
    """
    device = next(module.parameters()).device
    offloaded = device.type == "meta" or (device.type == "cpu" and torch.accelerator.is_available())
    return get_module_execution_device(module) if offloaded else device


def computes_in_bfloat16() -> bool:
    """Tell whether an accelerator or this processor gains by computing in bfloat16. Processors without instructions for it imitate it, up to twenty
    times slower than float32, and one whose matrix units are left alone (docs/decisions/0078-no-matrix-units-of-intels.md) takes as long as in float32
    or longer: `python -m benchmarks.libraries.bfloat16_on_processors`.
    """
    if torch.accelerator.is_available():
        return True
    can = torch.cpu.get_capabilities()
    if "amx_bf16" not in can:  # none of Intel's or AMD's
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return _matrix_units_may_be_used() if can["amx_bf16"] else bool(can["avx512_bf16"])


def _matrix_units_may_be_used() -> bool:
    """Whether nothing keeps oneDNN from them; it passes over an empty limit."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "DEFAULT"
    return limit.upper() in ("DEFAULT", "ALL") or "AMX" in limit.upper()


def thread_of_one_core(name: str) -> ThreadPoolExecutor:
    """A thread whose torch operators start no threads of their own, for work beside what computes on the others.

    libgomp counts the threads of all: once they are more than the cores, each waits in its sleep after every operator, also those of a training's
    step, which then takes twice as long (docs/decisions/0081-one-thread-beside-the-step.md).
    """
    here = torch.get_num_threads()
    pool = ThreadPoolExecutor(1, name, torch.set_num_threads, (1,))
    pool.submit(torch.get_num_threads).result()  # told and not asked, it would forget the number at its first operator
    torch.set_num_threads(here)  # what threads that start later have, is the last that anybody said
    return pool
