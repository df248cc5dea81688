"""The table of a run: what was measured, and by how much the planner is off."""

from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.cases import REFERENCE
from training.plan.gpus import gpu_named

HEAD = "| case | seconds | planned | MFU | peak GiB | planned | more |\n| --- | ---: | --- | ---: | ---: | --- | --- |"


@dataclass(frozen=True)
class Error:
    """What was said of a case, and how far it is off, as a share of what was measured.

    Attributes:
        gib, gib_off: at the peak of an update.
        seconds, seconds_off: of an update, where a card reaches the share of its peak that it reaches in the reference case.
    """

    gib: float
    gib_off: float | None = None
    seconds: float | None = None
    seconds_off: float | None = None


def error_of(name: str, results: dict[str, Any], planned: dict[str, Any]) -> Error | None:
    """None of what is not known: of a case that trains nothing, of a device whose peak is not known, and the seconds of the reference itself."""
    if name not in planned:
        return None
    row, reference, said = results[name], results.get(REFERENCE.name, {}), planned[name]
    gpu = gpu_named(row.get("device", ""))
    if gpu is None:
        return Error(said["planned_gib"])
    peaks = {"bf16": gpu.bf16, "tf32": gpu.tf32, "fp32": gpu.fp32}

    def at_the_peak(flops: dict[str, float]) -> float:
        return sum(count / (peaks[kind] * 1e12) for kind, count in flops.items())

    gib_off = said["planned_gib"] / row["peak_gib"] - 1
    if name == REFERENCE.name or reference.get("device") != row["device"]:
        return Error(said["planned_gib"], gib_off)
    reached = at_the_peak(planned[REFERENCE.name]["flops"]) / reference["seconds"]
    seconds = at_the_peak(said["flops"]) / reached
    return Error(said["planned_gib"], gib_off, seconds, seconds / row["seconds"] - 1)


def table(names: list[str], results: dict[str, Any], planned: dict[str, Any]) -> str:
    """Markdown, a row for each case."""
    rows = (_row(name, results[name], error_of(name, results, planned)) for name in names)
    return "\n".join([HEAD, *rows]) + "\n"


def line(name: str, row: dict[str, Any]) -> str:
    """A case as it is told when it is measured."""
    return f"{name:32} {row.get('failed') or ' '.join(f'{key}={value}' for key, value in _shown(row))}"


def _row(name: str, row: dict[str, Any], error: Error | None) -> str:
    seconds = _said(error.seconds, error.seconds_off, 3) if error else ""
    gib = _said(error.gib, error.gib_off, 1) if error else ""
    if "failed" in row:
        return f"| {name} | | {seconds} | | | {gib} | {row['failed']} |"
    mfu = f"{row['mfu']:.1%}" if "mfu" in row else ""
    peak = f"{row['peak_gib']:.1f}" if "peak_gib" in row else ""
    more = ", ".join(f"{key} {value}" for key, value in _shown(row) if key not in ("seconds", "mfu", "peak_gib"))
    return f"| {name} | {row['seconds']:.3f} | {seconds} | {mfu} | {peak} | {gib} | {more} |"


def _said(value: float | None, off: float | None, digits: int) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" if off is None else f"{value:.{digits}f} ({off:+.1%})"


def _shown(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, value if isinstance(value, str) else f"{value:.4g}") for key, value in row.items()]
