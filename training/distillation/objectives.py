r"""Losses of adversarial post-training, written with softplus: $-\log \sigma(x) = \mathrm{softplus}(-x)$."""

from torch import Tensor
from torch.nn.functional import softplus


def discriminator_loss(real: Tensor, fake: Tensor, objective: str) -> Tensor:
    r"""Scalar loss of the discriminator from `(B,)` logits.

    non_saturating (APT section 4.3): $\mathrm{softplus}(-D(x)) + \mathrm{softplus}(D(\hat x))$.
    relativistic (APT2 section 3.3, R3GAN): $\mathrm{softplus}(-(D(x) - D(\hat x)))$, real and fake of one condition paired.
    """
    if objective == "non_saturating":
        return (softplus(-real) + softplus(fake)).mean()
    return softplus(fake - real).mean()


def generator_loss(real: Tensor | None, fake: Tensor, objective: str) -> Tensor:
    r"""Scalar loss of the generator: $\mathrm{softplus}(-D(\hat x))$, or relativistic $\mathrm{softplus}(-(D(\hat x) - D(x)))$."""
    if objective == "non_saturating":
        return softplus(-fake).mean()
    if real is None:
        raise ValueError("the relativistic objective compares with the logits of real samples")
    return softplus(real - fake).mean()


def approximated_r1(logits: Tensor, perturbed_logits: Tensor) -> Tensor:
    r"""$\| D(x, c) - D(x + \sigma n, c) \|^2$, mean over `(B,)` logits (APT section 4.3).

    Both evaluations use the same timestep. Over sigma^2 it tends to the squared gradient norm as sigma -> 0 in expectation
    over n, without double backward. On fake samples it is the R2 of APT2.
    """
    return (logits - perturbed_logits).square().mean()
