"""One rank of tests/omnihuman/test_context_parallel.py: python context_parallel_ranks.py RANK RANKS FOLDER.

Every case is run whole first and then in slices; rank 0 writes the largest differences of outputs and summed gradients.
"""

import json
import sys
from pathlib import Path
from unittest.mock import patch

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig

from omnihuman import OmniHumanTransformer3DModel

SIZES = {
    "num_attention_heads": 2,
    "attention_head_dim": 24,
    "text_dim": 32,
    "ffn_dim": 64,
    "num_layers": 2,
    "audio_dim": 8,
    "audio_layers": 3,
    "pose_keypoints": 4,
    "pose_channels": 4,
    "audio_blocks": (1,),
}
# 2 x 3 tokens a latent. Video, motion and reference latents; where two ranks part is said in the name.
CASES = {
    "bare, parted in mid-frame": (3, 0, 0),
    "parted in mid-frame": (3, 1, 1),
    "parted in the motion tokens": (1, 2, 1),
    "parted in the reference": (1, 0, 2),
}


def build(**changes):
    torch.manual_seed(0)
    model = OmniHumanTransformer3DModel(**SIZES | changes)
    for parameter in model.parameters():
        parameter.data.add_(torch.randn(parameter.shape) * 0.05)  # nothing stays zero, so that nothing can hide
    return model


def inputs(latents, motion, reference, conditions=True):
    generator = torch.Generator().manual_seed(1)

    def randn(*shape):
        return torch.randn(shape, generator=generator)

    given = {
        "hidden_states": randn(2, 16, latents, 4, 6),
        "timestep": torch.tensor([100.0, 900.0]),
        "encoder_hidden_states": randn(2, 5, 32),
    }
    if conditions:
        given |= {
            "audio": randn(2, 4 * latents - 3, 3, 8),
            "pose": randn(2, 4, 4 * latents - 3, 16, 24).abs(),
            "audio_mask": torch.tensor([1.0, 1.0]),
            "pose_mask": torch.tensor([0.0, 1.0]),
        }
    if motion:
        given["motion"] = randn(2, 16, motion, 4, 6)
    if reference:
        given |= {"reference": randn(2, 16, reference, 4, 6), "reference_mask": torch.tensor([1.0, 0.0])}
    return given


def run(model, given):
    model.zero_grad()
    output = model(**given).sample
    output.square().mean().backward()
    return output.detach(), {name: p.grad for name, p in model.named_parameters()}


def parallel(model, **options):
    # diffusers divides by the number of accelerators, which is 0 on a machine without one.
    with patch("torch.accelerator.device_count", return_value=1):
        mesh = dist.device_mesh.init_device_mesh("cpu", (1, dist.get_world_size()), mesh_dim_names=("ring", "ulysses"))
        model.enable_parallelism(
            config=ContextParallelConfig(ulysses_degree=dist.get_world_size(), mesh=mesh, **options)
        )
    return model


def compare(given, checkpointing=False):
    expected, expected_gradients = run(build(), given)
    model = parallel(build())
    if checkpointing:
        model.enable_gradient_checkpointing()
    output, gradients = run(model, given)
    differences, unequal = [], []
    for name, gradient in gradients.items():
        seen = torch.tensor([float(gradient is not None)])
        dist.all_reduce(seen)
        if seen.item() not in (0, dist.get_world_size()):
            unequal.append(name)
        total = torch.zeros_like(model.get_parameter(name)) if gradient is None else gradient.clone()
        dist.all_reduce(total)
        reference = expected_gradients[name]
        reference = torch.zeros_like(total) if reference is None else reference
        differences.append(float((total - reference).abs().max() / reference.abs().max().clamp_min(1e-6)))
    return {"output": float((output - expected).abs().max()), "gradient": max(differences), "unequal": unequal}


@torch.no_grad()
def uneven(heads):
    """Three latents of one token and a reference of two: 5 tokens on two ranks, for inference."""
    given = {
        k: v[..., :2, :2] if k in ("hidden_states",) else v[..., :8, :8] if k == "pose" else v
        for k, v in inputs(3, 0, 0).items()
    }
    given |= {"reference": inputs(3, 0, 1)["reference"][..., :2, :4], "reference_mask": torch.tensor([1.0, 0.0])}
    expected = build(num_attention_heads=heads)(**given).sample
    output = parallel(build(num_attention_heads=heads), ulysses_anything=True)(**given).sample
    try:
        parallel(build())(**given)
        refused = ""
    except ValueError as error:
        refused = str(error)
    return {"output": float((output - expected).abs().max()), "refused": refused}


def main():
    rank, ranks, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    results = {name: compare(inputs(*case)) for name, case in CASES.items()}
    results["without conditions"] = compare(inputs(3, 0, 0, conditions=False))
    results["with activation checkpointing"] = compare(inputs(3, 1, 1), checkpointing=True)
    results["uneven tokens"] = uneven(heads=2)
    results["uneven heads"] = uneven(heads=3)
    if rank == 0:
        (folder / "results.json").write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
