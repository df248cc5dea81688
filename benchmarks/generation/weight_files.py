"""Converting a checkpoint of Wan2.1-T2V-1.3B's shapes beside copying its file: `python -m benchmarks.generation.weight_files [FOLDER]`. Minutes.

Random bytes of 1.3B bfloat16 numbers (2.8 GB) in Wan's own keys, converted to diffusers' keys and copied in turn; both flush to disk. Aimed at: at most
1.3 times the copy's time, and memory of 1.2 times the largest file.
"""

import argparse
import os
import resource
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel

from benchmarks.interleaved import compare
from media.files import whole_file
from omnihuman.wan.dialects.files import convert_file
from omnihuman.wan.dialects.names import key_to_original
from omnihuman.wan.dialects.tensor_files import StoredBytes, write_tensors

SIZES: dict[str, Any] = {"num_layers": 30, "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960}


def write_random(path: Path) -> None:
    """A checkpoint of random bytes."""
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in WanTransformer3DModel(**SIZES).state_dict().items()}
    numbers = path.with_suffix(".bytes")
    tensors, at = {}, 0
    for key, shape in shapes.items():
        tensors[key_to_original(key) or ""] = StoredBytes("BF16", shape, numbers, at)
        at += tensors[key_to_original(key) or ""].size
    with numbers.open("wb") as out:
        for begin in range(0, at, 2**24):
            out.write(os.urandom(min(2**24, at - begin)))
    write_tensors(path, tensors, {})
    numbers.unlink()


def main() -> None:
    """Print the ratio and the peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where 9 GB fit")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        source, target = Path(name) / "wan.safetensors", Path(name) / "out.safetensors"
        write_random(source)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        def convert() -> None:
            target.unlink(missing_ok=True)
            convert_file(source, "diffusers", target)

        def copy() -> None:
            target.unlink(missing_ok=True)
            with whole_file(target) as temporary:
                shutil.copyfile(source, temporary)

        found = compare(convert, copy, args.rounds)
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
        print(
            f"convert / copy of {source.stat().st_size / 2**30:.2f} GiB: {found.ratio:.2f} ({found.ours:.1f} / {found.theirs:.1f} s); memory beside the imports "
            f"{more:.2f} GiB"
        )


if __name__ == "__main__":
    main()
