"""One rank of the parity test: every case in one process, rank 0 compares with plain torch and writes what it found.

python tests/training/parity_worker.py OUTPUT.json      with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set
"""

import json
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from unittest.mock import patch

import deepspeed
import torch

from benchmarks.training.plain_engine import PlainEngine
from tests.training.tiny_networks import random_batch, tiny_discriminator, tiny_generator, tiny_profile
from training.data.micro_batches import narrow_batch
from training.distillation import updates
from training.distillation.gradient_cosine import GradientCosine
from training.distillation.one_step import one_step
from training.distillation.updates import discriminator_step, draw_parts, generator_step, samples_judged
from training.engine.deepspeed_engine import answering, build_engine
from training.engine.process_group import start_process_group
from training.engine.sequence_parallel import share_tokens

UPDATES, BATCH = 3, 8
# eps well above rounding: a gradient that is zero but for rounding (a key's bias) must not become a whole step.
ADAM = {"name": "rmsprop", "lr": 1e-3, "eps": 1e-4}
CASES = [
    {"zero": zero, "accumulation": accumulation, "objective": objective, "images": images, "freeze": True}
    # Of two accumulation steps, one phase's discriminator sees its samples one after another.
    | ({"stacked": False} if images or (accumulation == 1 and zero == 3) else {})
    for zero in (0, 1, 2, 3)
    for accumulation in (1, 2)
    for objective, images in (
        (("non_saturating", False),) if accumulation == 1 else (("relativistic", False), ("non_saturating", True))
    )
] + [
    {"zero": zero, "accumulation": 1, "objective": "non_saturating", "images": False, "freeze": False}
    for zero in (0, 1)
]
# Two ranks share one sample's tokens, in both networks.
CASES += [
    {"zero": zero, "accumulation": 1, "objective": "relativistic", "images": False, "freeze": True, "shared": 2}
    for zero in (0, 2)
]
# As the 14B profile trains on videos.
CASES += [
    {
        "zero": 3,
        "accumulation": 1,
        "objective": "non_saturating",
        "images": False,
        "freeze": True,
        "shared": 2,
        "stacked": False,
    }
]
# diffusers counts accelerators before it splits a sequence; two processes on a CPU split it as well.
torch.accelerator.device_count = lambda: 1


def settings(case):
    section = "adversarial_images" if case["images"] else "adversarial_videos"
    config = getattr(tiny_profile(), section)
    optimizer = config.generator.model_copy(update=ADAM)
    return config.model_copy(
        update={"objective": case["objective"], "generator": optimizer, "discriminator": optimizer, "batch_size": BATCH}
    )


def draws_of(case, config, update, rank, ranks, parts):
    batch = random_batch(BATCH, update)
    if case["images"]:
        batch = replace(batch.as_images(), given=frozenset({"reference"}))
    share = BATCH // ranks
    return list(draw_parts(narrow_batch(batch, rank * share, share), config, parts))


def train(g_engine, d_engine, case, config, rank, ranks, parts, cosine=None):
    rows = []
    for update in range(UPDATES):
        row = discriminator_step(g_engine, d_engine, draws_of(case, config, 2 * update, rank, ranks, parts), config)
        row |= generator_step(g_engine, d_engine, draws_of(case, config, 2 * update + 1, rank, ranks, parts), config)
        rows.append(row | (cosine.read() if cosine else {}))
    return rows


def weights(module, gather):
    parameters = dict(module.named_parameters())
    with deepspeed.zero.GatheredParameters(list(parameters.values())) if gather else nullcontext():
        return {name: p.detach().float().clone() for name, p in parameters.items()}


def difference(ours, theirs, start):
    """Largest difference, and the largest movement it is to be compared with."""
    return max(float((ours[n] - theirs[n]).abs().max()) for n in ours), max(
        float((theirs[n] - start[n]).abs().max()) for n in ours
    )


def answered(profile, engine_config):
    """How far a network that only answers, cut over the ranks, is from itself whole."""
    batch, whole = random_batch(BATCH, 0), tiny_generator(profile).eval().requires_grad_(False)
    cut = answering(tiny_generator(profile).eval().requires_grad_(False), engine_config, torch.device("cpu"))
    with torch.no_grad():
        ours, theirs = (one_step(network, batch.noise, batch.conditions()) for network in (cut, whole))
    held = sum(p.ds_tensor.numel() for p in cut.module.parameters())
    cut.destroy()
    return {
        "distance": float((ours - theirs).abs().max()),
        "held": held,
        "of": sum(p.numel() for p in whole.parameters()),
    }


@contextmanager
def unfrozen(module):
    yield


def run_case(case, rank, ranks):
    whole, parts, shared = settings(case), case["accumulation"], case.get("shared", 1)
    config = whole.model_copy(update={"stacked": case.get("stacked", True)})
    engine_config = tiny_profile().engine.model_copy(
        update={
            "zero_stage": case["zero"],
            "gradient_accumulation": parts,
            "gradient_clipping": 0.0,
            "sequence_parallel": shared,
        }
    )
    profile = tiny_profile()
    generator, discriminator = tiny_generator(profile), tiny_discriminator(profile)
    if shared > 1:
        share_tokens(generator, shared)
        share_tokens(discriminator.backbone, shared)
    g_engine = build_engine(generator, config.generator, engine_config, BATCH)
    passes = 1 if config.stacked else samples_judged(config)
    judging = engine_config.model_copy(update={"gradient_accumulation": passes * parts})
    d_engine = build_engine(discriminator, config.discriminator, judging, passes * BATCH)
    cosine = GradientCosine(g_engine)
    with nullcontext() if case["freeze"] else patch.object(updates, "frozen", unfrozen):
        rows = train(g_engine, d_engine, case, config, rank // shared, ranks // shared, parts, cosine)
    found = [weights(e.module, case["zero"] == 3) for e in (g_engine, d_engine)]
    for engine in (g_engine, d_engine):
        engine.destroy()
    answers = answered(profile, engine_config) if case["zero"] == 3 and parts == shared == 1 else None
    if rank:
        return None
    plain = [
        PlainEngine(tiny_generator(profile), config.generator),
        PlainEngine(tiny_discriminator(profile), config.discriminator),
    ]
    start = [weights(e.module, False) for e in plain]
    gradients = []
    plain[0].optimizer.register_step_pre_hook(
        lambda *_: gradients.append(
            torch.cat([p.grad.flatten() for p in plain[0].module.parameters() if p.grad is not None])
        )
    )
    expected = train(*plain, case, whole, 0, 1, 1)  # type: ignore[call-arg]
    result = case | {"answers": answers}
    for name, ours, engine, before in zip(("generator", "discriminator"), found, plain, start, strict=True):
        result[f"{name}_difference"], result[f"{name}_moved"] = difference(ours, weights(engine.module, False), before)
        key = f"{name}_gradient_norm"
        result[f"{name}_norms"] = [[row[key] for row in rows], [row[key] for row in expected]]
    result["cosine"] = [
        rows[-1]["generator_gradient_cosine"],
        float(torch.cosine_similarity(gradients[-1], gradients[-2], dim=0)),
    ]
    return result


def main():
    torch.set_num_threads(1)
    start_process_group()
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    results = []
    for case in CASES:
        try:
            results.append(run_case(case, rank, ranks))
        except (RuntimeError, AssertionError, ValueError, TypeError, AttributeError) as error:
            import traceback

            results.append(case | {"error": f"{error}\n{traceback.format_exc()[-1500:]}"})
            break  # the other rank may wait for this one
    if rank == 0:
        with open(sys.argv[1], "w") as file:
            json.dump(results, file)


if __name__ == "__main__":
    main()
