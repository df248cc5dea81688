"""What a training would take, counted without bytes: known answers, and the same as real networks hold."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import nn

from benchmarks.training.plain_engine import PlainEngine
from benchmarks.training.rounded_weights import Live
from omnihuman.autoencoder import load_autoencoder, with_narrower_decoder
from profiles import load_profile
from profiles.schema import EngineConfig, OptimizerConfig
from tests.training.synthetic import TINY
from training.distillation.decoder import Decoder, DecoderDistillation
from training.plan.decoder_passes import decoder_passes
from training.plan.gpus import GIB, UnknownGpu, gpu_named, read_cluster
from training.plan.passes import stage_passes
from training.plan.stand_ins import fake_transformer
from training.plan.states import Counted, count_parameters, engine_states
from training.plan.trace import Traced, at_depth, trace, without_bytes
from training.plan.training_plan import plan_training, trainings_of
from training.plan.warning import out_of_memory, warn_at_start, warning
from training.stages.model import build_transformer

ADAM = OptimizerConfig(name="adamw")


def tiny(*overrides: str):
    return load_profile("laptop", [*TINY, *overrides])


def test_bytes_and_flops_of_a_matrix_product_are_counted_and_let_go():
    with without_bytes():
        layer = nn.Linear(256, 512, bias=False)

        def run() -> None:
            for _ in range(3):  # what the last round left is gone: three rounds hold no more than one
                layer(torch.empty(64, 256)).sum().backward()

        traced = trace(run, [layer])
    # At the peak, in the backward pass, the output is gone: the input, the weight's gradient, and two single numbers.
    weights = 4 * 256 * 512
    assert traced.peak == 4 * 64 * 256 + weights + 8
    assert traced.moved == pytest.approx(3 * 4 * 64 * 512, rel=0.01)  # outputs are read to be added up
    assert traced.flops == {
        "fp32": 3 * 2 * (2 * 64 * 256 * 512)
    }  # forward and the weight's gradient; the input asks for none


def test_a_network_of_equal_blocks_is_known_from_two_depths():
    wide = ["transformer.num_attention_heads=8", "transformer.attention_head_dim=64", "transformer.ffn_dim=2048"]
    large = ["video.height=256", "video.width=256", "engine.activation_checkpointing=true"]
    profile = tiny(*wide, *large, "transformer.num_layers=5")
    said = stage_passes(profile, "stage_3", 2).learning["model"]
    from training.plan import passes

    def whole(profile, traced, depths=(1, 2)):
        with without_bytes():
            return traced(profile.transformer.num_layers, None)

    before, passes._at_full_depth = passes._at_full_depth, whole
    try:
        found = stage_passes(profile, "stage_3", 2).learning["model"]
    finally:
        passes._at_full_depth = before
    assert said.peak == pytest.approx(found.peak, rel=0.01)
    assert said.all_flops == pytest.approx(found.all_flops, rel=1e-6)


def test_parameters_are_those_of_the_network_that_is_trained():
    profile = tiny()
    real = build_transformer(profile, None, 0)
    with without_bytes():
        counted = count_parameters(fake_transformer(profile, 3), profile.stage_3.optimizer)
    assert counted.trained == sum(p.numel() for p in real.parameters()) and 0 < counted.by_muon < counted.trained
    assert stage_passes(profile, "stage_3", 1).counted == {"model": counted}


def test_what_zero_keeps_of_a_known_number_of_parameters():
    counted = Counted(1_000_000)

    def states(stage: int, precision: str = "fp32", **engine):
        config = EngineConfig(ranks=4, zero_stage=stage, precision=precision, **engine)
        return engine_states(counted, config, ADAM, 4, averaged=True, bucket=1000)

    whole = states(0)
    assert (whole.weights, whole.gradients, whole.optimizer, whole.average) == (4e6, 4e6, 8e6, 4e6)
    two = states(2)
    assert (two.weights, two.gradients, two.optimizer, two.average) == (4e6, 1e6, 3e6, 4e6), (
        "a float32 copy of its part"
    )
    alone = engine_states(
        counted, EngineConfig(ranks=1, zero_stage=2, precision="fp32"), ADAM, 1, averaged=True, bucket=10**9
    )
    # Weights, their copy, moments and average; the gradient in one piece, and two denominators: what backward added up is gone.
    assert alone.kept + alone.stepping == 4e6 * (1 + 1 + 2 + 1 + 3)
    three = states(3)
    assert (three.weights, three.gradients, three.average) == (1e6, 1e6, 1e6)
    off = states(3, offload="parameters")
    assert off.weights == off.optimizer == off.average == 0 and off.host == 3e6 + 1e6 + 1e6 + 1e6


def test_ranks_that_share_tokens_share_work_and_activations():
    sizes = ["transformer.num_attention_heads=4", "engine.ranks=4", "stage_3.ratios.motion=0.0"]
    alone, shared = (
        stage_passes(tiny(*sizes, f"engine.sequence_parallel={ranks}"), "stage_3", 4).learning["model"]
        for ranks in (1, 2)
    )
    assert 0.4 < shared.all_flops / alone.all_flops < 0.8 and shared.peak < 0.8 * alone.peak
    assert not torch.distributed.is_initialized()


def test_what_cannot_be_started_is_said_with_its_numbers():
    profile = tiny("engine.ranks=8")
    assert "batch_size 4 does not divide by 8" in plan_training(profile, "stage_3", 8).problem
    heads = plan_training(tiny("engine.ranks=4", "engine.sequence_parallel=4"), "stage_1", 4).problem
    assert heads == "2 attention heads do not divide by sequence_parallel = 4"
    tokens = plan_training(tiny("engine.ranks=2", "engine.sequence_parallel=2", "video.frames=5"), "stage_3", 2)
    assert tokens.problem == "" and tokens.accumulation == 1 and tokens.micro == 4


@pytest.mark.parametrize("section", ["consistency", "adversarial_images", "adversarial_videos"])
def test_every_training_is_traced(section):
    planned = plan_training(tiny(), section, 1)
    assert planned.parameters > 10_000 and planned.peak == max(planned.phases.values()) > planned.states.kept
    assert planned.seconds(read_cluster("1xH100").gpu, 0.5) > 0 and section in trainings_of(tiny())
    if section == "adversarial_videos":
        apart = plan_training(tiny("adversarial_videos.stacked=false"), section, 1)
        assert apart.phases["discriminator learns"] < planned.phases["discriminator learns"]
        assert apart.phases["generator learns"] == planned.phases["generator learns"]


def test_gradients_of_passes_before_are_there_while_the_next_one_learns_and_of_a_single_pass_none_are():
    sizes = ["engine.zero_stage=0", "engine.micro_batch=1", "stage_3.ratios.motion=0.0"]
    one, two = (plan_training(tiny(*sizes, f"stage_3.batch_size={samples}"), "stage_3", 1) for samples in (1, 2))
    assert (one.accumulation, two.accumulation) == (1, 2) and one.activations == two.activations
    assert two.phases["learning"] - one.phases["learning"] == min(one.states.gradients, one.activations) > 0


def test_clusters_are_read_and_what_is_no_cluster_is_told_the_kinds():
    cluster = read_cluster("64xh100")
    assert (cluster.count, cluster.nodes, cluster.per_node, cluster.gpu.memory) == (64, 8, 8, 79.2)
    assert read_cluster("2 x RTX 4090", price=0.5).gpu.price == 0.5
    for wrong in ("8xH1000", "H100", "0xH100", "12xH100"):
        with pytest.raises(UnknownGpu, match="--gpus"):
            read_cluster(wrong)
    found = gpu_named("NVIDIA H100 PCIe")
    assert found is not None and found.name == "H100-PCIe" and gpu_named("Apple M9") is None


def test_a_training_that_its_gpus_do_not_hold_is_warned_of_in_a_sentence():
    cluster = read_cluster("1xH100")
    assert warning(tiny(), "stage_3", cluster) == ""
    small = replace(cluster, gpu=replace(cluster.gpu, memory=0.001))
    assert re.fullmatch(
        r"stage_3 is planned to take 0 GiB of each of 1xH100, while learning, and 0 can be used; .*",
        warning(tiny(), "stage_3", small),
    )
    assert "does not divide by 8" in warning(tiny(), "stage_3", read_cluster("8xH100"))


def test_the_start_of_a_training_warns_and_refuses_nothing(monkeypatch, capsys):
    cluster = read_cluster("1xH100")
    for there in (None, cluster):
        monkeypatch.setattr("training.plan.warning.here", lambda ranks, there=there: there)
        warn_at_start(tiny(), "stage_3", 1)
    assert capsys.readouterr().out == ""
    small = replace(cluster, gpu=replace(cluster.gpu, memory=0.001))
    monkeypatch.setattr("training.plan.warning.here", lambda ranks: small)
    warn_at_start(tiny(), "stage_3", 1)
    assert capsys.readouterr().out.startswith("warning: stage_3 is planned to take 0 GiB of each of 1xH100")


def test_a_training_without_memory_left_is_answered_by_the_plan(monkeypatch):
    cluster = read_cluster("1xH100")
    monkeypatch.setattr("training.plan.warning.here", lambda ranks: cluster)
    fits = out_of_memory(tiny(), "stage_3", 1)
    assert fits.startswith(
        "stage_3 found no memory left on H100, of 79.2 GiB: it is planned to take 0.0 GiB and to fit"
    )
    small = replace(cluster, gpu=replace(cluster.gpu, memory=0.001))
    monkeypatch.setattr("training.plan.warning.here", lambda ranks: small)
    assert "is planned to take 0 GiB of each of 1xH100" in out_of_memory(tiny(), "stage_3", 1)


def test_traces_add_up():
    first, second = Traced(5.0, {"bf16": 2.0}), Traced(3.0, {"bf16": 1.0, "fp32": 4.0})
    assert first.then(second) == Traced(5.0, {"bf16": 3.0, "fp32": 4.0})
    assert at_depth({1: Traced(1.0, {"bf16": 1.0}), 2: Traced(3.0, {"bf16": 5.0})}, 10) == Traced(19.0, {"bf16": 37.0})
    assert GIB == 2**30


def test_the_slim_decoders_plan_is_what_its_losses_hold(tmp_path, monkeypatch):
    """Live bytes of real tensors through the training's own losses, in the second pass, against the trace of two shorter clips."""
    monkeypatch.setattr("training.distillation.decoder.computes_in_bfloat16", lambda: True)
    torch.manual_seed(0)
    AutoencoderKLWan(base_dim=8, dim_mult=[1, 1, 2, 2], num_res_blocks=1).to(torch.bfloat16).save_pretrained(tmp_path)
    sizes = ["video.height=64", "video.width=64", "video.frames=21", "video.buckets=[]", "slim_decoder.base_dim=4"]
    profile = load_profile("wan2.1-1.3b", [f"encoders.autoencoder={tmp_path}", *sizes])
    said = decoder_passes(profile, profile.slim_decoder, 1).learning["model"].peak

    training = DecoderDistillation.__new__(DecoderDistillation)
    training.teacher = load_autoencoder(str(tmp_path)).to(torch.bfloat16).requires_grad_(False)
    training.decoder, training.rank, training.ranks = profile.slim_decoder, 0, 1
    engine = training.engine = PlainEngine(Decoder(with_narrower_decoder(training.teacher, 4)), bf16=True)
    batch = SimpleNamespace(latents=torch.randn(1, 16, 6, 8, 8))
    monkeypatch.setattr("training.distillation.decoder.split_batch", lambda batch, passes: [batch])
    for live in (Live(), Live()):
        before = (*engine.module.parameters(), *training.teacher.parameters())
        live.ignore([*before, *(p.grad for p in before if p.grad is not None)])
        with live:
            for loss in training.losses(0, batch):
                engine.backward(loss)
    assert live.peak == pytest.approx(said, rel=0.04)
