"""Which optimiser moves which weight: AdamW, RMSProp, or DeepSpeed's own Muon on matrices with Adam on the rest."""

import re
from collections.abc import Iterable

import torch
from torch import nn

from omnihuman.placement import computes_in_bfloat16
from profiles.schema import OptimizerConfig

Optimizer = torch.optim.Optimizer
_OF_A_BLOCK = re.compile(r"\.\d+\.proj_out\.")


def uses_muon(name: str, parameter: nn.Parameter) -> bool:
    """Muon orthogonalises hidden weight matrices; embeddings, the output layer, norms and tables stay with Adam.

    A block's own `proj_out`, as HunyuanVideo's blocks of one stream have it, is hidden.
    """
    outside = ("embed", "proj_out", "scale_shift_table", "norm", "token_type", "logit", "query")
    hidden = _OF_A_BLOCK.sub(".", name)
    return parameter.ndim == 2 and not any(word in hidden for word in outside)


def build_optimizer(named_parameters: Iterable[tuple[str, nn.Parameter]], config: OptimizerConfig) -> Optimizer:
    """An optimiser for `deepspeed.initialize(optimizer=...)`.

    DeepSpeed's `"type": "Muon"` tags every array of two or more dimensions, norm gains and modulation tables too, so
    the groups are built here and handed to the same DeepSpeed class.
    """
    parameters = [(name, p) for name, p in named_parameters if p.requires_grad]
    if config.name == "adamw":
        return torch.optim.AdamW(
            [p for _, p in parameters],
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
        )
    if config.name == "rmsprop":
        # APT section 4.4: RMSProp alpha 0.9, which is Adam with beta_1 = 0, beta_2 = 0.9.
        return torch.optim.Adam([p for _, p in parameters], lr=config.lr, betas=(0.0, 0.9), eps=config.eps)
    return _muon(parameters, config)


def _muon(parameters: list[tuple[str, nn.Parameter]], config: OptimizerConfig) -> Optimizer:
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam

    orthogonalise_natively()
    for name, parameter in parameters:
        setattr(parameter, "use_muon", uses_muon(name, parameter))  # noqa: B010 - DeepSpeed's own attribute
    groups = [
        {
            "params": [p for n, p in parameters if uses_muon(n, p)],
            "use_muon": True,
            "lr": config.lr,
            "momentum": 0.95,
            "weight_decay": config.weight_decay,
            "ns_method": "standard",
        },
        {
            "params": [p for n, p in parameters if not uses_muon(n, p)],
            "use_muon": False,
            "lr": config.adam_lr,
            "betas": config.betas,
            "eps": config.eps,
            "weight_decay": 0.0,
        },
    ]
    return MuonWithAuxAdam([group for group in groups if group["params"]])


def orthogonalise_natively() -> None:
    """Have Muon's Newton-Schulz iteration run in float32 where this processor gains nothing by bfloat16.

    DeepSpeed asks its accelerator, and that of a CPU says yes to bfloat16 whatever the processor: 192 x 768 took 35 ms instead of 2 where it
    is imitated, and on one thread 6.5 instead of 1.9 where there are instructions and no matrix units.
    """
    if not computes_in_bfloat16():
        from training.engine.orthogonalisation import use_fewer_products

        use_fewer_products()
