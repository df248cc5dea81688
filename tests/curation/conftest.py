"""Small real material: encoded puppets in an inbox, and tiny encoders in the on-disk format of the real ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

import puppets
from curation.intake.ingest import find_new_clips, ingest_shard
from media import encode_clip
from profiles import Profile, load_profile
from tests.curation.score_bench import CLIPS
from tests.curation.score_bench import Bench as ScoreBench
from tests.curation.shard_workspace import Workspace as ShardWorkspace

ClipWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def laptop() -> Profile:
    return load_profile("laptop", [])


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def puppet_bytes() -> Callable[..., bytes]:
    """Encoded puppets, each rendered once per session."""
    made: dict[tuple, bytes] = {}

    def encoded(seed: int = 0, kind: str = "clean", frames: int = 25) -> bytes:
        key = (seed, kind, frames)
        if key not in made:
            puppet = puppets.render(seed, kind, frames)
            made[key] = encode_clip(puppet.frames, puppet.fps, puppet.audio)
        return made[key]

    return encoded


@pytest.fixture
def put_puppet(inbox: Path, puppet_bytes: Callable[..., bytes]) -> ClipWriter:
    """Write a puppet's mp4, with its sidecar, into the inbox."""

    def put(name: str, seed: int = 0, kind: str = "clean", frames: int = 25, sidecar: bool = True) -> Path:
        path = inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(puppet_bytes(seed, kind, frames))
        if sidecar:
            path.with_name(name.rsplit("/")[-1] + ".json").write_bytes(puppets.render(seed, kind, frames).sidecar())
        return path

    return put


@pytest.fixture(scope="session")
def tiny_encoders(tmp_path_factory: pytest.TempPathFactory, laptop: Profile) -> Profile:
    """The laptop profile with its text encoder, and an untrained small autoencoder and wav2vec 2.0."""
    import torch
    from diffusers import AutoencoderKLWan
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    root = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(0)
    AutoencoderKLWan(
        base_dim=8, dim_mult=[1, 1, 1], num_res_blocks=1, patch_size=2, in_channels=12, out_channels=12, z_dim=16,
        temperal_downsample=[True, True],
    ).save_pretrained(root / "autoencoder")  # fmt: skip
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(16,) * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    Wav2Vec2Model(config).save_pretrained(root / "wav2vec2")
    places = {"autoencoder": str(root / "autoencoder"), "audio": str(root / "wav2vec2")}
    return laptop.model_copy(update={"encoders": laptop.encoders.model_copy(update=places)})


@pytest.fixture(scope="session")
def loaded_encoders(tiny_encoders: Profile):
    """The tiny encoders, loaded once."""
    from curation.features.encoders import load_encoders

    return load_encoders(tiny_encoders)


@pytest.fixture
def bench(tmp_path, inbox, put_puppet, laptop, monkeypatch) -> ScoreBench:
    for seed in range(CLIPS):
        put_puppet(f"{seed}.mp4", seed=seed)
    name = ingest_shard(find_new_clips(inbox, tmp_path / "raw"), tmp_path / "raw", laptop, inbox=inbox).name
    return ScoreBench(tmp_path, tmp_path / "raw" / name, laptop, monkeypatch)


@pytest.fixture
def workspace(tmp_path, inbox, tiny_encoders, loaded_encoders) -> ShardWorkspace:
    return ShardWorkspace(tmp_path, inbox, tiny_encoders, loaded_encoders)
