"""How many convolutions in bfloat16 come out wrong on this processor: `python -m benchmarks.libraries.bfloat16_convolutions [--isa NAME]`.

NAME is what oneDNN may use, as `ONEDNN_MAX_CPU_ISA` says it: AVX512_CORE_AMX, AVX512_CORE_FP16, AVX512_CORE_BF16; without it, what `import omnihuman`
leaves it. Wrong is 3 % of the largest value of the same convolution in float32 (docs/decisions/0078-no-matrix-units-of-intels.md).
"""

import argparse
import itertools
import os
from collections.abc import Iterator

WRONG = 0.03
SIDE = 16


def shapes() -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Input, kernel, stride and padding: of films, then of pictures."""
    kernels = ((1, 2, 2), (1, 3, 3), (1, 4, 4), (3, 3, 3))
    for out, into, kernel, stride, pad, batch, frames in itertools.product(
        (1, 3, 4, 8, 16, 32), (3, 4, 16, 32, 33), kernels, (1, 2, 4), (0, 1), (1, 2), (1, 3)
    ):
        if kernel[0] <= frames + 2 * pad * (kernel[0] > 1):
            padding = (pad * (kernel[0] > 1), pad, pad)
            yield (batch, into, frames, SIDE, SIDE), (out, into, *kernel), (1, stride, stride), padding
    for out, into, side, stride, pad, batch in itertools.product(
        (1, 3, 4, 8, 16, 32, 48), (3, 4, 16, 17, 32, 33, 64), (1, 2, 3, 4), (1, 2, 4), (0, 1), (1, 2)
    ):
        yield (batch, into, SIDE, SIDE), (out, into, side, side), (stride, stride), (pad, pad)


def main(arguments: list[str] | None = None) -> None:
    """Print each that is wrong, and how many there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa")
    parser.add_argument("--first", type=int, help="try the first so many alone")
    given = parser.parse_args(arguments)
    if given.isa:
        os.environ["ONEDNN_MAX_CPU_ISA"] = given.isa
    import torch
    from torch.nn import functional

    import omnihuman  # noqa: F401  # what it leaves oneDNN

    torch.manual_seed(0)
    count = wrong = 0
    for given_shape, kernel, stride, padding in itertools.islice(shapes(), given.first):
        x, weight = torch.randn(given_shape), torch.randn(kernel)
        convolve = functional.conv3d if len(given_shape) == 5 else functional.conv2d
        exact = convolve(x, weight, None, stride, padding)
        rounded = convolve(x.bfloat16(), weight.bfloat16(), None, stride, padding).float()
        count += 1
        # Not `>`: what is no number is wrong too.
        if not (rounded - exact).abs().max() <= WRONG * exact.abs().max():
            wrong += 1
            print(f"wrong: {given_shape} by {kernel}, stride {stride}, padding {padding}")
    print(f"{wrong} of {count} are wrong, {os.environ.get('ONEDNN_MAX_CPU_ISA', 'whatever there is')}")


if __name__ == "__main__":
    main()
