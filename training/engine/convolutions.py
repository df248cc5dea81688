"""Convolutions for DeepSpeed's Muon, which orthogonalises matrices."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class _Flat(nn.Module):
    """A convolution's weight kept as a matrix `(out, in * k)`."""

    def __init__(self, shape: torch.Size):
        super().__init__()
        self.shape = shape

    def forward(self, matrix: Tensor) -> Tensor:
        return matrix.view(self.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight.flatten(1)


def flatten_convolutions(model: nn.Module) -> list[nn.Conv2d | nn.Conv3d]:
    """Keep the weights of all convolutions as matrices, under the parameter's name with `.original` at its end; returns them."""
    convolutions = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d))]
    for module in convolutions:
        parametrize.register_parametrization(module, "weight", _Flat(module.weight.shape))
    return convolutions


def restore_convolutions(convolutions: list[nn.Conv2d | nn.Conv3d]) -> None:
    """Back to ordinary convolutions with the weights that they have now."""
    for module in convolutions:
        parametrize.remove_parametrizations(module, "weight")
