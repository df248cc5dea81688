"""The server follows the alias under load: promotion, a canary that fails, rollback, an alias that vanishes; no request fails."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from assets.core.names import STUDENT
from assets.core.workspace import Workspace
from media import sha256_of_file
from networks.on_device import threads
from omnihuman.exports import read_provenance
from serving.inputs import GenerateError
from serving.model_choice import ModelShelf, load_beside, load_model
from serving.versions.canary import CanaryRule
from serving.videos import server as server_module
from tests.orchestration.serving import PROFILE
from tests.serving.students import ALIAS, home_with_students, served
from tracking.model_address import ModelAddress

FIRST = str(ModelAddress(STUDENT, version=1))
pytest.importorskip("python_multipart")
pytest.importorskip("prometheus_client")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return home_with_students(tmp_path_factory.mktemp("students"))


def versions(jobs):
    assert [job["status"] for job in jobs] == ["completed"] * len(jobs)
    return [int(job["model"].rsplit(" ", 1)[1]) for job in jobs]


def test_promotion_rollback_and_a_vanished_alias_fail_no_request(home):
    with served(home) as server:
        before, waiting = server.ask(), server.ask(1)
        server.promote(2)
        after = server.ask(2)
        assert versions([server.made(job) for job in (before, after)]) == [1, 2] or server.made(before)[
            "model"
        ].endswith("2")
        assert server.made(waiting)["status"] == "completed" and server.models.current.version == 2
        server.promote(None)
        health = server.client.get("/health").json()
        assert health["model"].endswith("version 2")
        assert "has no version with alias 'champion' any more; `omnihuman promote VERSION` sets it" in health["wrong"]
        assert "omnihuman_alias_not_served 1.0" in server.client.get("/metrics").text
        assert versions([server.made(server.ask(3))]) == [2]
        server.promote(1)
        health = server.client.get("/health").json()
        assert health["model"].endswith("version 1") and health["wrong"] is None
        assert versions([server.made(server.ask(4))]) == [1]
        assert 'omnihuman_version_events{kind="switch"} 2.0' in server.client.get("/metrics").text


def lora(file: Path, width: int) -> Path:
    """A LoRA of one matrix of Wan's first block."""
    stem = "diffusion_model.blocks.0.self_attn.q"
    save_file(
        {f"{stem}.lora_A.weight": torch.ones(2, width), f"{stem}.lora_B.weight": torch.ones(width, 2)},
        file,
    )
    return file


def test_every_version_is_served_with_the_operators_loras_and_one_that_does_not_fit_stops_no_video(home, tmp_path):
    config = load_model(Workspace(home, PROFILE), "champion").pipeline.transformer.config
    file = lora(tmp_path / "style.safetensors", config.num_attention_heads * config.attention_head_dim)
    digest = sha256_of_file(file)
    with served(home, loras=[(file, 0.5)]) as server:
        for number in (1, 2):
            server.promote(number)
            assert server.models.current.pipeline.loras() == {digest: 0.5}
            job = server.ask(number)
            assert versions([server.made(job)]) == [number]
            (tmp_path / "made.mp4").write_bytes(server.client.get(f"/v1/videos/{job}/content").content)
            assert read_provenance(tmp_path / "made.mp4")["loras"] == {digest: 0.5}
        lora(file, 5120)
        server.promote(1)
        assert server.models.current.version == 2 and "style.safetensors does not fit" in server.models.wrong
        assert versions([server.made(server.ask(3))]) == [2]
    Workspace(home, PROFILE).registry.set_alias(STUDENT, "champion", 1)


def test_the_pages_shelf_adds_loras_to_the_model_that_is_asked_for(home, tmp_path):
    workspace = Workspace(home, PROFILE)
    config = load_model(workspace, "champion").pipeline.transformer.config
    file = lora(tmp_path / "style.safetensors", config.num_attention_heads * config.attention_head_dim)
    shelf = ModelShelf(workspace, [(file, 2.0)])
    for model in ("champion", str(home / "student-2")):
        assert shelf.get(model).pipeline.loras() == {sha256_of_file(file): 2.0}


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (3, "4 of its 4 videos fail the check 'sharpness', 0 of the served version's"),
        (4, "4 of its 4 videos could not be made, 0 of the served version's"),
    ],
)
def test_a_canary_that_draws_nothing_or_cannot_draw_is_taken_back_and_nobody_gets_its_videos(home, broken, why):
    with served(home, CanaryRule(share=0.9, videos=8, least=4, alpha=0.9)) as server:
        server.promote(1)
        assert versions([server.made(server.ask(99))]) == [1]
        server.promote(broken)
        assert server.models.canary.version == broken
        jobs = []
        while server.models.canary is not None:
            jobs.append(server.made(server.ask(len(jobs))))
            assert len(jobs) < 12
        assert set(versions(jobs)) == {1} and why in server.models.wrong
        server.follower.look()  # the alias still stands there, and it is not tried again
        assert server.models.canary is None and server.client.get("/health").json()["wrong"] == server.models.wrong
        server.promote(1)
        assert not server.models.wrong


def test_a_version_that_was_changed_since_it_was_signed_is_not_served(home):
    workspace = Workspace(home, PROFILE)
    weights = workspace.registry.folder(ALIAS.name, 2) / "transformer" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    with served(home) as server:
        try:
            weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
            server.promote(2)
            assert server.models.current.version == 1
            assert "version 2 of omnihuman-student cannot be served" in server.models.wrong
            assert weights.name in server.models.wrong
        finally:
            weights.write_bytes(whole)
            server.promote(1)


def test_an_alias_that_vanishes_while_its_version_is_loaded_leaves_what_is_served(home):
    with served(home) as server:
        load = server.follower._load

        def load_and_lose(address):
            server._registry.remove_alias(ALIAS.name, ALIAS.alias)
            return load(address)

        server.follower._load = load_and_lose
        server.promote(2)
        assert server.models.current.version == 1 and "has no version with alias" in server.models.wrong
        server.follower._load = load
        server.promote(1)


def test_a_version_is_read_on_one_thread_while_whatever_begins_meanwhile_has_all(home, monkeypatch):
    """A second team of threads would send the first to sleep after every operator."""
    seen = {}
    with threads(2), served(home) as server:
        load = server.follower._load

        def watched(address):
            with ThreadPoolExecutor(1) as live:
                seen["read"], seen["begun"] = torch.get_num_threads(), live.submit(torch.get_num_threads).result()
            return load(address)

        monkeypatch.setattr(server.follower, "_load", watched)
        server.promote(2)
        assert server.models.current.version == 2 and seen == {"read": 1, "begun": 2}
        assert torch.get_num_threads() == 2
        server.promote(1)


def test_a_server_reads_its_models_on_one_thread(home, monkeypatch):
    def load(workspace, model):
        raise GenerateError(f"{torch.get_num_threads()} threads")

    monkeypatch.setattr(server_module, "load_model", load)
    with threads(2):
        with pytest.raises(GenerateError, match="1 threads"):
            server_module.serve(Workspace(home, PROFILE), "champion", "127.0.0.1", 0, server_module.ServerSettings())
        assert torch.get_num_threads() == 2


def test_loading_beside_a_generation_leaves_the_default_dtype_alone_and_every_value_as_it_was(home, monkeypatch):
    """The default dtype of torch is every thread's: a network in bfloat16 would be built under bfloat16."""
    workspace = Workspace(home, PROFILE)
    folder = home / "in-bfloat16"
    pipeline = load_model(workspace, str(home / "student-1")).pipeline
    pipeline.text_encoder.to(torch.bfloat16)
    pipeline.save_pretrained(folder, safe_serialization=True)
    workspace.registry.register("in-bfloat16", folder)
    address = ModelAddress("in-bfloat16", version=1)
    plain, seen = load_model(workspace, str(address)).pipeline, []
    served = load_model(workspace, FIRST)
    monkeypatch.setattr(
        torch, "set_default_dtype", lambda dtype, own=torch.set_default_dtype: (seen.append(dtype), own(dtype))
    )
    beside = load_beside(workspace, address, served).pipeline
    assert set(seen) <= {torch.float32}
    for name in ("transformer", "text_encoder", "vae"):
        ours, theirs = (getattr(one, name).state_dict() for one in (beside, plain))
        assert all(torch.equal(ours[key], theirs[key]) and ours[key].dtype == theirs[key].dtype for key in theirs), name


def test_what_two_versions_have_in_common_is_neither_read_nor_held_twice(home):
    workspace = Workspace(home, PROFILE)
    served = load_model(workspace, FIRST)

    def beside(number):
        return load_beside(workspace, ModelAddress(STUDENT, version=number), served)

    def shared(number):
        ours, theirs = beside(number).pipeline.components, served.pipeline.components
        return {name for name in ours if ours[name] is not None and ours[name] is theirs[name]}

    frozen = {"vae", "text_encoder", "tokenizer", "audio_encoder"}
    assert shared(2) == frozen and shared(3) == frozen - {"vae"}  # the third draws grey
    asked = {"prompt": "A person talks.", "height": 64, "width": 64, "num_frames": 5}
    for number in (2, 3):
        models = beside(number), load_model(workspace, str(ModelAddress(STUDENT, version=number)))
        made = [one.pipeline(**asked, generator=torch.Generator().manual_seed(0)).frames for one in models]
        assert torch.equal(*made), number
    # Nothing says what an unsigned version's files are.
    served = replace(served, files={})
    assert shared(2) == set()
