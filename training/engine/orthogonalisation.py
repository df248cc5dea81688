"""Muon's orthogonalisation in float32 with fewer products, for processors that gain nothing by bfloat16.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) moves each matrix along the nearest orthogonal one, found by five Newton-Schulz
iterations `X <- a X + b (X X^T) X + c (X X^T)^2 X`. A third of a training step of the laptop's stage 3 was this. What DeepSpeed's functions compute is
computed here in another order: a matrix four times as long as wide is iterated on through its small `X X^T`, and sums are added up by the products themselves.
"""

from typing import Any

import torch
from deepspeed.runtime.zero.muon import muon_optimizer, original_muon
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # a, b, c: the post, section "Coefficients"
SMALL = 1e-7  # added to the norm, as DeepSpeed does
OBLONG = 2  # from this ratio of the sides on, the small side is cheaper
deepspeeds_update = original_muon.muon_update


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return `(n, m)` with the matrix's singular vectors and singular values near 1, in its own dtype."""
    high = matrix.size(0) > matrix.size(1)
    x = matrix.mT if high else matrix
    x = x / (torch.linalg.matrix_norm(x) + SMALL)
    x = _by_small_side(x, steps) if x.size(1) >= OBLONG * x.size(0) else _directly(x, steps)
    return x.mT.contiguous() if high else x


def _directly(x: Tensor, steps: int) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_small_side(x: Tensor, steps: int) -> Tensor:
    """The same through `R = X X^T`: an iteration multiplies X by `Z = a + b R + c R^2`, and so makes of R `Z R Z`."""
    a, b, c = COEFFICIENTS
    gram, product = x @ x.mT, None
    for step in range(steps):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if step < steps - 1:
            gram = factor @ (factor @ gram)
    return x if product is None else product @ x


def muon_update(
    grad: Tensor,
    momentum: Tensor,
    beta: float = 0.95,
    ns_steps: int = 5,
    nesterov: bool = True,
    ns_method: str = "gram",
    **others: Any,
) -> Tensor:
    """What a matrix moves along, as DeepSpeed's function of this name; `grad` and `momentum` are changed in place.

    A gradient that is not finite leaves the momentum alone and comes back as it is, so that whoever asks sees it and skips the step.
    """
    if ns_method != "standard" or grad.ndim != 2 or grad.dtype != torch.float32 or any(others.values()):
        return deepspeeds_update(grad, momentum, beta, ns_steps, nesterov, ns_method, **others)
    if not torch.isfinite(torch.linalg.vector_norm(grad, torch.inf)):
        return grad
    momentum.lerp_(grad, 1 - beta)
    update = orthogonalise(grad.lerp_(momentum, beta) if nesterov else momentum, ns_steps)
    return update * max(1.0, grad.size(0) / grad.size(1)) ** 0.5


def use_fewer_products() -> None:
    """Have DeepSpeed's Muon, with and without ZeRO, call this module's function and compute in float32."""
    original_muon.ns_compute_dtype = lambda ns_method="gram": torch.float32
    original_muon.muon_update = muon_optimizer.muon_update = muon_update
