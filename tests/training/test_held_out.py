"""Held-out clips are never trained on; the exact velocity has no held-out loss and samples the truth."""

from types import SimpleNamespace

import pytest
import torch

from profiles import load_profile
from tests.training.synthetic import TINY, Rows, make_job, write_snapshot
from training.data.loader import SnapshotData, is_held_out
from training.flow_matching import trajectory_end
from training.stages.held_out import HeldOutValidation, contact_sheet
from training.stages.stage import open_data, open_held_out

HELD_OUT = ["curation.held_out_share=0.3", "stage_3.watch.samples=4", "stage_3.watch.every=5", "stage_3.batch_size=4"]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    root = tmp_path_factory.mktemp("watch")
    write_snapshot(root, [Rows(samples=48)])
    return make_job(root, "stage", "stage", "stage_3", 12, HELD_OUT)


@pytest.fixture
def validation(job):
    stage = job.profile.stage_3
    data = open_held_out(job, stage)
    return HeldOutValidation(job, stage, data, Exact(data))


class Exact(torch.nn.Module):
    """The velocity that leads to a known clip, whatever is asked: eps - x_0 = (x_t - x_0) / t."""

    def __init__(self, data: SnapshotData):
        super().__init__()
        self.weight, self.device = torch.nn.Parameter(torch.zeros(1)), torch.device("cpu")
        self.module, self.data, self.latents = self, data, None

    def train_micro_batch_size_per_gpu(self):
        return 3

    def torch_autocast_enabled(self):
        return False

    def forward(self, x_t, timestep, **conditions):
        return ((x_t - self.latents) / (timestep / 1000).view(-1, 1, 1, 1, 1),)


def test_held_out_clips_are_the_same_in_every_snapshot_and_never_trained_on(job):
    stage = job.profile.stage_3
    trained, held_out = open_data(job, stage), open_data(job, stage, held_out=True)
    first, second = set(trained.table["clip_id"]), set(held_out.table["clip_id"])
    assert not first & second and len(first | second) == 48 and 5 < len(second) < 25
    seen = {draw.clip_id for number in range(40) for draw in trained.draws(number)}
    assert seen == first
    assert {clip for clip in first | second if is_held_out(clip, 0.3)} == second
    assert sum(is_held_out(f"{i:016x}", 0.02) for i in range(50_000)) == pytest.approx(1000, abs=100)


def test_the_exact_velocity_has_no_held_out_loss_in_any_condition_set(validation, monkeypatch):
    engine = validation.engine
    chosen = validation.data.chosen

    def remembered(rows, on):
        batch = chosen(rows, on)
        engine.latents = batch.latents
        return batch

    monkeypatch.setattr(validation.data, "chosen", remembered)
    row = validation.held_out_losses()
    names = {f"held_out/{label}/q{q:.2f}" for label in ("text", "reference", "audio", "pose") for q in (0.1, 0.5, 0.9)}
    assert set(row) == names | {"held_out/loss"}
    assert max(row.values()) < 1e-5
    engine.latents = None
    monkeypatch.setattr(Exact, "forward", lambda self, x_t, timestep, **_: (torch.zeros_like(x_t),))
    assert validation.held_out_losses()["held_out/loss"] == pytest.approx(2.0, rel=0.1), "noise and data of variance 1"


def test_sampling_with_the_exact_velocity_gives_the_clip(validation):
    _, conditions, rows = validation.sets[-1]
    batch = validation.data.chosen(rows, conditions)
    engine = validation.engine
    engine.latents = batch.latents
    made = trajectory_end(engine, batch.noise, batch.conditions(), 5)
    torch.testing.assert_close(made, batch.latents, rtol=1e-3, atol=1e-3)
    assert torch.equal(batch.noise, validation.data.chosen(rows, conditions).noise), "the same noise each time"


def test_it_looks_every_n_steps_and_at_the_end(validation, job):
    assert [step for step in range(1, 13) if validation.due(step)] == [5, 10, 12]
    assert not HeldOutValidation(job, job.profile.stage_3, None, None).due(5)


def test_without_held_out_clips_nothing_is_looked_at_and_it_is_said(job, capsys):
    profile = load_profile("laptop", [*TINY, "curation.held_out_share=0.0001"])
    small = job.model_copy(update={"profile_values": profile.model_dump(mode="json")})
    assert open_held_out(small, profile.stage_3) is None
    assert "no held-out loss" in capsys.readouterr().out


def test_videos_and_a_contact_sheet_are_written(validation, job, tmp_path):
    uploads = []
    recorder = SimpleNamespace(work=tmp_path, master=True, artifact=lambda folder, name: uploads.append(name))
    engine = validation.engine
    _, conditions, rows = validation.sets[-1]
    engine.latents = validation.data.chosen(rows[:2], conditions).latents
    folder = validation.videos(7, recorder)
    files = sorted(path.name for path in folder.iterdir())
    assert len(files) == 3 and files[-1] == "contact_sheet.png" and uploads == ["videos/step-0000007"]
    assert contact_sheet(*[torch.zeros(1, 9, 8, 8, 3, dtype=torch.uint8).numpy()] * 2, "t").startswith(b"\x89PNG")  # type: ignore[call-arg]
