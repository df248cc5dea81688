"""Every base trains: a step of each stage with its conditions, consistency, both updates of the adversarial phase, LoRA."""

from dataclasses import replace

import pytest
import torch
from diffusers import HunyuanVideoPipeline, StableDiffusion3Pipeline, WanPipeline
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training.plain_engine import PlainEngine, awake
from omnihuman.bases.backbone import Revision
from omnihuman.bases.weights import save_new_parts
from omnihuman.precision import cast_weights
from omnihuman.wan.dialects.adapter_writing import written_as
from omnihuman.wan.dialects.adapters import DIFFUSERS_WEIGHTS, AdapterError, read_adapter
from omnihuman.wan.dialects.tensor_files import write_tensors
from omnihuman.wan.lora import LoraLoading
from orchestration.doctor.profile_findings import _base
from profiles.schema import LoraConfig
from tests.omnihuman.small_bases import SMALL
from tests.training.tiny_networks import random_batch, tiny_profile
from training.distillation.consistency import batch_loss, time_grid
from training.distillation.discriminator import Discriminator, head_blocks
from training.distillation.updates import discriminator_step, draw_parts, generator_step
from training.engine.deepspeed_engine import backward
from training.engine.optimizer import uses_muon
from training.engine.sequence_parallel import share_tokens
from training.errors import TrainingError
from training.plan.forward import forward_flops
from training.plan.training_plan import plan_training
from training.run.product import rebuild
from training.stages.flow_matching_step import velocity_losses
from training.stages.lora import add_lora, merged, trained_adapter
from training.stages.model import base_of, build_transformer, check_takes_videos

# As a profile says the sizes that tests/omnihuman/small_bases.py has.
SIZES = {
    "wan2.1": {"num_layers": 3, "attention_head_dim": 24, "ffn_dim": 64, "text_dim": 32},
    "wan2.2-ti2v": {"num_layers": 3, "attention_head_dim": 24, "ffn_dim": 64, "text_dim": 32, "latent_channels": 48},
    "hunyuan_video": {
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 32,
        "ffn_dim": 256,
        "text_dim": 24,
    },
    "hunyuan_video15": {
        "num_layers": 3,
        "attention_head_dim": 32,
        "ffn_dim": 256,
        "text_dim": 24,
        "latent_channels": 8,
    },
    "stable_diffusion3": {"num_layers": 3, "attention_head_dim": 32, "ffn_dim": 256, "text_dim": 24},
}
# diffusers' pipelines that read LoRA; HunyuanVideo15Pipeline reads none.
READERS = {
    "wan2.1": WanPipeline,
    "wan2.2-ti2v": WanPipeline,
    "hunyuan_video": HunyuanVideoPipeline,
    "stable_diffusion3": StableDiffusion3Pipeline,
}
STAGES = {"stage_1": {"reference"}, "stage_2": {"reference", "audio"}, "stage_3": {"reference", "audio", "pose"}}


@pytest.fixture(scope="module", params=list(SIZES))
def begun(request, tmp_path_factory):
    """The base's name, a profile that begins with it, and a batch of its shapes."""
    one, folder = SMALL[request.param], tmp_path_factory.mktemp("base") / "transformer"
    one.save(folder)
    sizes = [f"transformer.{key}={value}" for key, value in SIZES[request.param].items()]
    profile = tiny_profile(*sizes, f"transformer.base={folder}", *(["video.frames=1"] if one.frames == 1 else []))
    batch, width = random_batch(4), SIZES[request.param]["text_dim"]
    generator = torch.Generator().manual_seed(5)
    latents = {
        name: torch.randn(4, one.channels, *getattr(batch, name).shape[2:], generator=generator)
        for name in ("latents", "noise", "reference", "motion")
    }
    text = {name: torch.randn(4, 5, width, generator=generator) for name in ("text", "null_text")}
    batch = replace(batch, **latents, **text)
    return request.param, profile, batch.as_images() if one.frames == 1 else batch


def test_a_step_of_each_stage_moves_what_the_stage_trains(begun):
    _, profile, batch = begun
    for stage, given in STAGES.items():
        model = build_transformer(profile, None, 0)
        engine = PlainEngine(model, getattr(profile, stage).optimizer, bf16=True)
        part = replace(batch, given=frozenset(given)).to(torch.device("cpu"), torch.bfloat16)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        losses = velocity_losses(engine, part, torch.tensor([0.1, 0.4, 0.6, 0.9]))
        backward(engine, losses.mean())
        engine.step()
        moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
        assert torch.isfinite(losses).all() and any("audio_attn" in name for name in moved) == ("audio" in given)
        assert ("pose_patch_embedding.weight" in moved) == ("pose" in given) and "token_types" in moved


def test_sound_and_pose_change_no_bit_before_training_and_each_condition_does_after_a_few_steps(begun):
    _, profile, batch = begun
    engine = PlainEngine(build_transformer(profile, None, 0), profile.stage_3.optimizer)

    def losses(given: set[str], **other) -> torch.Tensor:
        times = torch.tensor([0.1, 0.4, 0.6, 0.9])
        return velocity_losses(engine, replace(batch, given=frozenset(given), **other), times)

    def moved_by() -> set[str]:
        with torch.no_grad():
            all_on = losses(STAGES["stage_3"])
            without = {name: losses(STAGES["stage_3"] - {name}) for name in STAGES["stage_3"]}
            without["text"] = losses(STAGES["stage_3"], text=batch.null_text)
        return {name for name, other in without.items() if not torch.equal(all_on, other)}

    assert moved_by() == {"text", "reference"}
    for _ in range(3):
        backward(engine, losses(STAGES["stage_3"]).mean())
        engine.step()
    assert moved_by() == {"text", "reference", "audio", "pose"}


def test_consistency_and_both_adversarial_updates_reach_every_block(begun):
    name, profile, batch = begun
    student, teacher = awake(build_transformer(profile, None, 0)), awake(build_transformer(profile, None, 1)).eval()
    config = profile.consistency
    loss = batch_loss(PlainEngine(student), teacher, batch, time_grid(config.grid, config.grid_shift), config.guidance)
    loss.mean().backward()
    assert torch.isfinite(loss).all() and all(_taught(block) for block in student.stacked_blocks)

    adversarial = profile.adversarial_images if SMALL[name].frames == 1 else profile.adversarial_videos
    generator = awake(build_transformer(profile, None, 0))
    critic = Discriminator(awake(build_transformer(profile, None, 1)))
    assert critic.blocks == head_blocks(critic.backbone.depth)
    engines = PlainEngine(generator), PlainEngine(critic)
    row = discriminator_step(*engines, draw_parts(batch, adversarial, 1), adversarial)
    assert all(torch.isfinite(torch.tensor(value)) for value in row.values())
    still = [name for name, p in critic.named_parameters() if p.requires_grad and p.grad is None]
    assert not [name for name in still if "pose" not in name and "token_types" not in name]
    generator.zero_grad()
    generator_step(*engines, draw_parts(batch, adversarial, 1), adversarial)
    assert all(_taught(block) for block in generator.stacked_blocks)


def _taught(block):
    return sum(p.grad.abs().sum() for p in block.parameters() if p.grad is not None) > 0


class Pipeline(LoraLoading):
    """What `OmniHumanPipeline` has of it, without encoders."""

    hf_device_map = None

    def __init__(self, transformer):
        self.transformer, self.components = transformer, {"transformer": transformer}


def test_lora_trains_the_bases_matrices_and_its_file_is_on_the_base_what_is_merged_into_them(begun, tmp_path):
    name, profile, batch = begun
    model = awake(build_transformer(profile, None, 0))
    plain = awake(build_transformer(profile, None, 0))
    targets = (
        ("attn1.to_q", "attn2.to_v") if name.startswith("wan") else (".attn.to_q", ".attn.to_k", ".attn.add_q_proj")
    )
    add_lora(model, LoraConfig(rank=2, targets=targets))
    engine = PlainEngine(model, profile.stage_1.optimizer)
    part = batch.to(torch.device("cpu"), torch.float32)
    for _ in range(2):
        backward(engine, velocity_losses(engine, part, torch.tensor([0.1, 0.4, 0.6, 0.9])).mean())
        engine.step()
    weights = merged({key: value.detach() for key, value in model.state_dict().items()}, model)
    plain.load_state_dict(weights)
    t = torch.tensor([0.2, 0.5, 0.7, 0.8])
    torch.testing.assert_close(velocity_losses(plain, part, t), velocity_losses(model, part, t), rtol=1e-4, atol=1e-5)
    tensors, metadata, _ = written_as(trained_adapter(dict(model.state_dict()), model), "diffusers")
    write_tensors(tmp_path / DIFFUSERS_WEIGHTS, tensors, metadata)
    save_new_parts(plain, tmp_path / "new.safetensors")
    pipeline = Pipeline(build_transformer(profile, None, 0))
    untrained = velocity_losses(pipeline.transformer, part, t)
    pipeline.transformer.load_new_parts(tmp_path / "new.safetensors")
    pipeline.load_lora_weights(tmp_path)
    again = velocity_losses(pipeline.transformer, part, t)
    torch.testing.assert_close(again, velocity_losses(plain, part, t), rtol=1e-4, atol=1e-5)
    assert (again - untrained).abs().max() > 1e-4
    if name in READERS:
        _reads_on_the_bare_base(READERS[name], name, tmp_path, len(tensors) // 2)
    if not name.startswith("wan"):
        with pytest.raises(AdapterError, match="is of an MMDiT .*kohya is a dialect of Wan's"):
            written_as(read_adapter(tmp_path / DIFFUSERS_WEIGHTS), "kohya")
        with pytest.raises(TrainingError, match="does not split a sequence over ranks: set engine.sequence_parallel"):
            share_tokens(plain, 2)
    with pytest.raises(TrainingError, match=r"for example .*to_q"):
        add_lora(build_transformer(profile, None, 0), LoraConfig(targets=("nothing",)))


def _reads_on_the_bare_base(reader, name, folder, matrices):
    """As diffusers' own pipeline does: each of the file's matrices is on the published model, and nothing is left over."""
    bare = SMALL[name].save(folder / "bare")
    state = reader.lora_state_dict(folder, weight_name=DIFFUSERS_WEIGHTS)
    reader.load_lora_into_transformer(state, bare, adapter_name="ours")
    attached = {key.replace(".ours", ""): value for key, value in bare.named_parameters() if ".lora_" in key}
    given = {key.removeprefix("transformer."): value for key, value in state.items()}
    assert attached.keys() == given.keys() and len(given) == 2 * matrices > 0
    assert all(torch.equal(value, given[key]) for key, value in attached.items())


def test_muon_takes_a_blocks_own_read_out_and_not_the_models():
    matrix = torch.nn.Parameter(torch.zeros(2, 2))
    hidden = ("single_transformer_blocks.0.proj_out.weight", "backbone.single_transformer_blocks.11.proj_out.weight")
    assert all(uses_muon(name, matrix) for name in hidden)
    assert not any(uses_muon(name, matrix) for name in ("proj_out.weight", "backbone.proj_out.weight"))


def test_flops_of_all_blocks_from_few_are_those_of_the_whole(begun):
    name, profile, batch = begun
    model = build_transformer(profile, None, 0)
    # The counter knows no fused attention of the processor.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
        one = {key: value[:1] for key, value in batch.conditions().items()}
        model(batch.latents[:1], torch.tensor([500.0]), **one)
    packed = {"reference": 1, "motion": 2}
    sizes = tuple(batch.latents.shape[1:]), batch.text.shape[1], packed, batch.given
    found = forward_flops(model.config, *sizes, SMALL[name].architecture)
    assert found == pytest.approx(counted.get_total_flops(), rel=1e-9)


def test_a_product_is_rebuilt_of_the_averaged_parameters_alone(begun, tmp_path):
    _, profile, batch = begun
    model = awake(build_transformer(profile, None, 0)).eval()
    again = rebuild(model, {name: value.detach().clone() for name, value in model.named_parameters()})
    assert not [name for name, value in again.state_dict().items() if value.is_meta]
    part, t = batch.to(torch.device("cpu"), torch.float32), torch.tensor([0.2, 0.5, 0.7, 0.8])
    with torch.no_grad():
        assert torch.equal(velocity_losses(again, part, t), velocity_losses(model, part, t))
    cast_weights(again, torch.bfloat16)
    again.save_pretrained(tmp_path / "transformer")
    stage_2 = build_transformer(profile.model_copy(update={"transformer": _without_base(profile)}), str(tmp_path), 0)
    assert type(stage_2) is type(model)


def _without_base(profile):
    return profile.transformer.model_copy(update={"base": None, "architecture": base_of(profile).architecture})


def test_the_planner_counts_what_is_built(begun):
    name, profile, _ = begun
    if name == "stable_diffusion3":
        pytest.skip("its blocks differ: plans count a second attention in all of them")
    found = plan_training(profile, "stage_3", 1)
    assert found.parameters == sum(
        p.numel() for p in build_transformer(profile, None, 0).parameters() if p.requires_grad
    )
    assert found.peak > 0 and not found.problem
    shared = profile.model_copy(update={"engine": profile.engine.model_copy(update={"sequence_parallel": 2})})
    problem = plan_training(shared, "stage_3", 2).problem
    assert bool(problem) != name.startswith("wan") and (
        not problem or "are not split over sequence_parallel = 2" in problem
    )


def test_doctor_names_the_base_and_an_image_model_is_refused_for_videos(begun, monkeypatch):
    name, profile, _ = begun
    said = _base(profile)
    assert profile.transformer.base in said and "new:" in said and said.startswith("a model of its own sizes")
    published = Revision("Published", "a/b", {}, 1.0, 7.0)
    monkeypatch.setattr(base_of(profile).load(), "revision", lambda config: published)
    assert "Published: " in _base(profile) and "sampled with shift 7, and evaluation.sampling.shift is" in _base(
        profile
    )
    check_takes_videos(profile, "stage_1")
    if name != "stable_diffusion3":
        return
    video = profile.video.model_copy(update={"frames": 9, "buckets": ()})
    longer = profile.model_copy(update={"video": video})
    for section in ("stage_1", "consistency", "adversarial_videos"):
        with pytest.raises(TrainingError, match=f"{section} trains videos of 9 frames, and Stable Diffusion 3.5"):
            check_takes_videos(longer, section)
    with pytest.raises(TrainingError, match="stage_1 trains videos of 9 frames, and Stable Diffusion 3.5"):
        _base(longer)
    check_takes_videos(longer, "adversarial_images")


def test_a_profile_that_says_another_architecture_than_the_folder_is_refused_with_both(begun):
    name, profile, _ = begun
    other = "wan" if not name.startswith("wan") else "hunyuan_video"
    changed = profile.transformer.model_copy(update={"architecture": other})
    with pytest.raises(TrainingError, match=f"{SMALL[name].architecture}.*transformer.architecture={other}"):
        base_of(profile.model_copy(update={"transformer": changed}))
