"""One case in a process of its own, so that its peak of memory is its own and a card that is too small costs the others nothing."""

import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from benchmarks.gpu.cases import Case, Shape
from benchmarks.training.process_group import start_alone
from omnihuman import OmniHumanTransformer3DModel
from omnihuman.autoencoder import LAPTOP_CONFIG, decode_video, use_fast_layers, with_narrower_decoder
from omnihuman.precision import cast_weights
from profiles import Profile
from training.data.batch import Batch, SampleDraw
from training.data.conditions import Conditions
from training.distillation.discriminator import Discriminator
from training.distillation.updates import discriminator_step, draw_parts, generator_step
from training.engine.deepspeed_engine import build_engine
from training.engine.ema import ExponentialMovingAverage
from training.engine.throughput import batch_flops, batch_tokens, peak_memory, peak_tflops
from training.stages.flow_matching_step import optimizer_step
from training.stages.model import build_transformer

Row = dict[str, float | str]


def measure(case: Case, shape: Shape) -> Row:
    """Run one case and return its numbers: seconds are medians of `shape.repeats` rounds after one that is not counted.

    Raises:
        torch.OutOfMemoryError: the card is too small.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    run = {"step": _step, "bare": _bare, "adversarial": _adversarial, "generation": _generation}[case.kind]
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    return {**run(case, shape, shape.settings(case), device), "device": name}


def _step(case: Case, shape: Shape, profile: Profile, device: torch.device) -> Row:
    """A stage 3 optimiser step of one sample with all conditions: our loop's step and the average."""
    start_alone()
    model = _model(case, profile)
    if profile.engine.compile_blocks:
        model.compile_repeated_blocks()
    stage = profile.stage_3.model_copy(update={"batch_size": 1})
    engine = build_engine(model, stage.optimizer, profile.engine, 1)
    average, batch = ExponentialMovingAverage(model, stage.ema_decay), random_batch(profile)
    tokens, flops = batch_tokens(batch), batch_flops(model.config, batch)

    def step() -> None:
        optimizer_step(engine, batch, stage)
        average.update()

    seconds = _seconds(step, shape.repeats, device)
    return {
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "model_tflops": 3 * flops / 1e12,
        **_mfu(3 * flops, seconds),
    }


def _bare(case: Case, shape: Shape, profile: Profile, device: torch.device) -> Row:
    """Forward and backward of our transformer without conditions and of diffusers' own, in turns, weights and inputs alike."""
    ours = _model(case, profile).to(device)
    cast_weights(ours, torch.bfloat16)
    names = ("num_layers", "num_attention_heads", "attention_head_dim", "ffn_dim", "text_dim", "freq_dim")
    theirs = WanTransformer3DModel(**{name: ours.config[name] for name in names}).to(device)
    cast_weights(theirs, torch.bfloat16)
    if profile.engine.activation_checkpointing:
        theirs.enable_gradient_checkpointing()
    batch = random_batch(profile).to(device, torch.bfloat16)

    def both(model: torch.nn.Module) -> Callable[[], None]:
        def run() -> None:
            timestep = batch.uniform * 1000
            model(batch.latents.bfloat16(), timestep, batch.text, return_dict=False)[0].square().mean().backward()
            model.zero_grad()

        return run

    times: list[list[float]] = [[], []]
    for round_number in range(shape.repeats + 1):
        for side, model in enumerate((ours, theirs)):
            taken = _timed(both(model), device)
            if round_number:
                times[side].append(taken)
    mine, bare = min(times[0]), min(times[1])
    return {"seconds": mine, "bare_seconds": bare, "ratio": mine / bare}


def _adversarial(case: Case, shape: Shape, profile: Profile, device: torch.device) -> Row:
    """One update of the discriminator and one of the generator, each through its engine, and of the generator's average."""
    start_alone()
    config = profile.adversarial_videos.model_copy(update={"batch_size": 1})
    engine = profile.engine.model_copy(update={"gradient_clipping": 0.0})
    generator = build_engine(_model(case, profile), config.generator, engine, 1)
    discriminator = build_engine(Discriminator(_model(case, profile), config.heads), config.discriminator, engine, 1)
    average, batch = ExponentialMovingAverage(generator.module, config.ema_decay), random_batch(profile)
    parts: dict[str, float] = {}

    def update() -> None:
        parts["discriminator_seconds"] = _timed(
            lambda: discriminator_step(generator, discriminator, draw_parts(batch, config, 1), config), device
        )
        parts["generator_seconds"] = _timed(
            lambda: generator_step(generator, discriminator, draw_parts(batch, config, 1), config), device
        )
        average.update()

    return {"seconds": _seconds(update, shape.repeats, device), **parts, "peak_gib": peak_memory()}


def _generation(case: Case, shape: Shape, profile: Profile, device: torch.device) -> Row:
    """One evaluation of the transformer with all conditions, and the decoder: the profile's own and a narrow one."""
    model = _model(case, profile).to(device).eval()
    model.disable_gradient_checkpointing()
    cast_weights(model, torch.bfloat16)
    batch = random_batch(profile).to(device, torch.bfloat16)
    conditions, frames = batch.conditions(), profile.video.frames
    # On a card Wan2.1's published autoencoder, which is diffusers' default; its laptop sizes elsewhere.
    config: dict[str, Any] = {} if device.type == "cuda" else LAPTOP_CONFIG
    decoder = use_fast_layers(AutoencoderKLWan(**config)).to(device, torch.bfloat16).eval().requires_grad_(False)
    narrow = with_narrower_decoder(decoder, shape.slim_decoder).to(device, torch.bfloat16).eval().requires_grad_(False)
    time_one = torch.full((1,), 1000.0, device=device)

    @torch.no_grad()
    def sample() -> None:
        model(batch.noise, time_one, return_dict=False, **conditions)

    network = _seconds(sample, shape.repeats, device)
    sampled = peak_memory()
    whole = _seconds(lambda: decode_video(decoder, batch.noise), shape.repeats, device)
    slim = _seconds(lambda: decode_video(narrow, batch.noise), shape.repeats, device)
    return {
        "seconds": network + whole,
        "transformer_seconds": network,
        "decoder_seconds": whole,
        "slim_decoder_seconds": slim,
        "frames_per_second": frames / (network + whole),
        "frames_per_second_slim": frames / (network + slim),
        "transformer_peak_gib": sampled,
        "peak_gib": peak_memory(),
    }


def random_batch(profile: Profile) -> Batch:
    """One sample of the main bucket with every condition on, standard normal where the encoders' output would be."""
    video, model = profile.video, profile.transformer
    bucket, rows, columns = video.main, video.height // video.stride, video.width // video.stride
    on, everything = torch.ones(1), Conditions(True, True, True, True)
    channels = model.latent_channels
    latents = (1, channels, video.latent_frames, rows, columns)
    text = torch.randn(1, profile.encoders.text_tokens, model.text_dim)
    sample = SampleDraw("c", "s", video.name_of(bucket), 0, False, everything, everything, True, True, True, 0.5, 0)
    return Batch(
        latents=torch.randn(latents),
        noise=torch.randn(latents),
        uniform=torch.full((1,), 0.5),
        text=text,
        null_text=text,
        audio=torch.randn(1, video.frames, model.audio_layers, model.audio_dim),
        keypoints=torch.rand(1, video.frames, len(model.pose_keypoints), 3) * video.height,
        reference=torch.randn(1, channels, 1, rows, columns),
        motion=torch.randn(1, channels, 2, rows, columns),
        audio_mask=on,
        pose_mask=on,
        reference_mask=on,
        motion_mask=on,
        samples=(sample,),
        given=frozenset({"audio", "pose", "reference", "motion"}),
        stride=video.stride,
    )


def _model(case: Case, profile: Profile) -> OmniHumanTransformer3DModel:
    model = build_transformer(profile, None, 0)
    if profile.engine.activation_checkpointing:
        model.enable_gradient_checkpointing()
    if case.attention is not None:
        model.set_attention_backend(case.attention)
    return model


def _seconds(call: Callable[[], object], repeats: int, device: torch.device) -> float:
    """The median of `repeats`, after one call that compiles, allocates and warms up."""
    call()
    taken = sorted(_timed(call, device) for _ in range(repeats))
    return taken[len(taken) // 2]


def _timed(call: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _mfu(flops: float, seconds: float) -> Row:
    """Model FLOPs over what the device could have done; left out where its peak is not known."""
    peak = peak_tflops(None)
    row: Row = {"peak_gib": peak_memory()}
    if peak is not None:
        row["mfu"] = flops / seconds / (peak * 1e12)
    return row
