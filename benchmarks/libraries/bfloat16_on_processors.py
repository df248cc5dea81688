"""Whether this processor gains by bfloat16: `python -m benchmarks.libraries.bfloat16_on_processors [--isa NAME]`, CPU milliseconds beside float32's.

NAME is what oneDNN may use, as `ONEDNN_MAX_CPU_ISA` says it: AVX512_CORE_AMX, AVX512_CORE_FP16; without it, what `import omnihuman` leaves it
(docs/decisions/0078-no-matrix-units-of-intels.md). Looked at are the autoencoders that are in the repository, and Muon's orthogonalisation of one
matrix: DeepSpeed's own in bfloat16 beside ours, which is float32's.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from assets.core.markdown import markdown_table

CLIPS, FRAMES = 2, 17


def milliseconds(call: Callable[[], Any], rounds: int) -> float:
    """The least CPU milliseconds of some rounds, after one that counts for nothing."""
    call()
    least = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        call()
        least = min(least, time.process_time() - began)
    return 1e3 * least


def main(arguments: list[str] | None = None) -> None:
    """Print one row for each piece of work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    if given.isa:
        os.environ["ONEDNN_MAX_CPU_ISA"] = given.isa
    os.environ["TORCH_COMPILE_DISABLE"] = "1"  # as a training's launcher has it
    import omnihuman  # noqa: F401, I001 - what it leaves oneDNN, before torch
    import torch

    from omnihuman.placement import computes_in_bfloat16

    torch.set_num_threads(1)
    rows = [*autoencoders(given.rounds), *orthogonalisation(given.rounds)]
    print(markdown_table(rows))
    chosen = "bfloat16" if computes_in_bfloat16() else "float32"
    print(f"oneDNN may use {os.environ.get('ONEDNN_MAX_CPU_ISA', 'whatever there is')}; the product chooses {chosen}")


def autoencoders(rounds: int) -> list[dict[str, str]]:
    """Encoding and decoding of two windows, by each autoencoder and side."""
    import torch

    from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder
    from profiles import resolve_source

    rows = []
    for source, side in (("profile:laptop/autoencoder", 64), ("profile:people/autoencoder", 128)):
        pixels = torch.rand(CLIPS, 3, FRAMES, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
        took: dict[str, list[float]] = {"encoding": [], "decoding": []}
        for dtype in (torch.bfloat16, torch.float32):
            network = load_autoencoder(resolve_source(source), dtype)
            with torch.no_grad():
                latents = encode_video(network, pixels)
                took["encoding"].append(milliseconds(partial(encode_video, network, pixels), rounds))
                took["decoding"].append(milliseconds(partial(decode_video, network, latents), rounds))
        rows += [_row(f"{source}, {side} px, {what}", *both) for what, both in took.items()]
    return rows


def orthogonalisation(rounds: int) -> list[dict[str, str]]:
    """Five iterations of the laptop's two shapes and of one of a larger model."""
    import torch
    from deepspeed.runtime.zero.muon.original_muon import zeropower_via_newtonschulz5

    from training.engine.orthogonalisation import orthogonalise

    rows = []
    for shape in ((192, 192), (192, 768), (1536, 1536)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        theirs = milliseconds(partial(zeropower_via_newtonschulz5, matrix, 5), rounds)
        ours = milliseconds(partial(orthogonalise, matrix), rounds)
        rows.append(_row(f"orthogonalisation of {shape[0]} x {shape[1]}", theirs, ours))
    return rows


def _row(what: str, low: float, full: float) -> dict[str, str]:
    return {
        "what": what,
        "bfloat16, ms": f"{low:.3g}",
        "float32, ms": f"{full:.3g}",
        "bfloat16 / float32": f"{low / full:.2f}",
    }


if __name__ == "__main__":
    main()
