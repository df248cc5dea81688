"""An adversarial update through both DeepSpeed engines against the sum of its forwards and backwards in plain torch."""

import torch

from benchmarks.generation.transformer import SIZES
from benchmarks.interleaved import Comparison, compare
from benchmarks.training.process_group import start_alone
from omnihuman import OmniHumanTransformer3DModel
from profiles import load_profile
from training.data.batch import Batch, SampleDraw
from training.data.conditions import Conditions
from training.distillation.discriminator import Discriminator
from training.distillation.one_step import one_step
from training.distillation.updates import discriminator_step, draw_parts, frozen, generator_step
from training.engine.deepspeed_engine import build_engine


def adversarial_update(batch_size: int = 16) -> Comparison:
    """Discriminator's and generator's update of the laptop profile's videos phase, drawing noise and logging included.

    The other side: the generator without gradient, the discriminator forward and backward on real, generated and perturbed
    samples, the generator and the frozen discriminator forward and backward. No optimiser, no penalty, no numbers read.
    """
    start_alone()
    profile = load_profile("laptop", [])
    config = profile.adversarial_videos
    generator, discriminator = laptop_model(), Discriminator(laptop_model())
    engine_config = profile.engine.model_copy(update={"gradient_clipping": 0.0})
    g_engine = build_engine(generator, config.generator, engine_config, batch_size)
    d_engine = build_engine(discriminator, config.discriminator, engine_config, batch_size)
    batch = laptop_batch(batch_size)
    bare_generator, bare_discriminator = laptop_model(), Discriminator(laptop_model())
    conditions, t = batch.conditions(), torch.rand(batch_size)

    def ours() -> None:
        discriminator_step(g_engine, d_engine, draw_parts(batch, config, 1), config)
        generator_step(g_engine, d_engine, draw_parts(batch, config, 1), config)

    def theirs() -> None:
        bare_generator.zero_grad(), bare_discriminator.zero_grad()
        with torch.no_grad():
            fake = one_step(bare_generator, batch.noise, conditions)
        samples = torch.cat([batch.latents, fake, batch.latents])
        bare_discriminator(samples, t.repeat(3), conditions.repeated(3)).square().mean().backward()
        with frozen(bare_discriminator):
            bare_discriminator(
                one_step(bare_generator, batch.noise, conditions), t, conditions
            ).square().mean().backward()

    return compare(ours, theirs, rounds=5)


def laptop_model() -> OmniHumanTransformer3DModel:
    """Of the laptop profile's size, with random weights."""
    return OmniHumanTransformer3DModel(**SIZES, audio_dim=64, audio_layers=4, pose_keypoints=4, pose_channels=64)


def laptop_batch(size: int) -> Batch:
    """Of random numbers, every condition given."""
    on, all_on = torch.ones(size), Conditions(True, True, True, True)
    samples = tuple(
        SampleDraw("c", "s", "64x64x17@16", i, False, all_on, all_on, False, False, True, 0.5, i) for i in range(size)
    )
    return Batch(
        latents=torch.randn(size, 16, 5, 8, 8),
        noise=torch.randn(size, 16, 5, 8, 8),
        uniform=torch.rand(size),
        text=torch.randn(size, 32, 384),
        null_text=torch.randn(size, 32, 384),
        audio=torch.randn(size, 17, 4, 64),
        keypoints=torch.rand(size, 17, 4, 3) * 64,
        reference=torch.randn(size, 16, 1, 8, 8),
        motion=torch.randn(size, 16, 2, 8, 8),
        audio_mask=on,
        pose_mask=on,
        reference_mask=on,
        motion_mask=0 * on,
        samples=samples,
        given=frozenset({"audio", "pose", "reference"}),
    )
