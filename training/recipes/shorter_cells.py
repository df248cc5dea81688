"""Make a transformer's weights those of one whose latents hold fewer frames: `python -m training.recipes.shorter_cells FROM TO --temporal-stride 2`.

What sees pictures stays (patch embedding, blocks, read-out), for the autoencoders' latents are kin. The pose guider's first layer, which has the frames
of a latent in its channels, takes the sum of the weights of the frames that a new one stands for. What hears begins anew and silent: where cells get
shorter to let mouths move, the base did not follow them, and it may get another speech encoder with them.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from media.files import whole_directory
from media.weights import fill
from omnihuman.bases.model import OmniHumanModel
from omnihuman.errors import InputError
from omnihuman.pipeline import load_transformer

POSE = "pose_guider.conv_in.weight"
HEARING = ("audio_projection.", ".audio_attn.")


def pose_of_shorter(weight: Tensor, old: int, new: int) -> Tensor:
    """`(C, K * old, 1, 4, 4)` weights of `old` frames a latent as `(C, K * new, 1, 4, 4)`: what stands still is guided as before."""
    return weight.unflatten(1, (-1, new, old // new)).sum(dim=3).flatten(1, 2)


def shortened(model: OmniHumanModel, stride: int, seed: int = 0) -> OmniHumanModel:
    """A model of latents of `stride` frames with what `model` knows of pictures, text, references and poses, and a hearing of its own from `seed`.

    Raises:
        InputError: the model's own stride is no multiple of `stride`, or its base is not Wan's.
    """
    old = model.temporal_stride
    if "temporal_stride" not in model.config or stride >= old or old % stride:
        raise InputError(f"latents of {old} frames do not divide into latents of {stride} in a {type(model).__name__}")
    torch.manual_seed(seed)
    said = {name: value for name, value in model.config.items() if not name.startswith("_")}
    made = type(model)(**said | {"temporal_stride": stride})
    weights: Mapping[str, Tensor] = model.state_dict()
    kept = {name: value for name, value in weights.items() if not any(part in name for part in HEARING)}
    kept[POSE] = pose_of_shorter(kept[POSE].float(), old, stride).to(kept[POSE])
    heard = [name for name in made.state_dict() if any(part in name for part in HEARING)]
    fill(made, kept, "the longer cells' model", "start from an OmniHuman transformer of Wan's base", may_lack=heard)
    for name, parameter in made.named_parameters():
        parameter.data = parameter.data.to(weights[name].dtype)
    return made


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=Path, help="folder of the transformer")
    parser.add_argument("output", type=Path)
    parser.add_argument("--temporal-stride", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    made = shortened(load_transformer(args.start), args.temporal_stride, args.seed)
    with whole_directory(args.output) as folder:
        made.save_pretrained(folder)


if __name__ == "__main__":
    main()
