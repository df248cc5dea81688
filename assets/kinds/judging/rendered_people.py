"""The benchmark `rendered_people`: talking humans of seeds that nobody trains on, frozen as any set of clips, with what is true of them.

poses/ID.safetensors  all 133 keypoints where they were drawn, no detector looked: 1 seen, 0 outside, 0.5 covered (drawn as a condition, counted by no metric)
truth/ID.json         opening of the mouth, head, face units and shares of the id buffer per frame of the window, phones, the person's numbers
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import soundfile

import people
from assets.core.steps import AssetError
from assets.kinds.demo_corpus import people_size
from curation.intake.video_hash import Thumbnails, video_hash
from curation.snapshot.frozen_windows import AUDIO_BITRATE, LOSSLESS_TO_THE_EYE
from curation.snapshot.sample_facts import measure_facts
from evaluation.benchmark.people_truth import HASHES, truth_file
from media import decode_frames, encode_clip, sha256_of_file, whole_directory, write_atomically
from media.frozen_set import FILES, FrozenSample, FrozenSet, file_in_set, load_frozen_set, write_manifest
from media.keypoints.keypoint_file import Keypoints, write_keypoints
from people.render import OTHER
from people.speech.recordings import RATE
from profiles.judging import RENDERED_PEOPLE
from profiles.schema import DemoConfig, EvaluationConfig, VideoConfig

POSES = "truth"  # what found the keypoints: nothing, they are those that were drawn
PER_FRAME = ("mouth_opening", "mouth_opening_pixels", "head_degrees", "units", "class_shares")
OF_CLIP = ("seed", "framing", "place", "mood", "text", "unit_names", "parameters")


def check_rendered_people(config: EvaluationConfig, video: VideoConfig, trained: Iterable[range]) -> None:
    """Whether people can be rendered for this profile's video, and whether nobody of these seeds is trained on.

    Args:
        config: clips and seed.
        video: its main bucket is what they are rendered in.
        trained: seeds of all people who are rendered for training, those in the background among them.

    Raises:
        AssetError: not so; the message names the key.
        assets.kinds.demo_corpus.DemoCorpusError: the main bucket is not square.
    """
    people_size(video)
    for key, wanted, found in (("video.fps", people.FPS, video.fps), ("video.sample_rate", RATE, video.sample_rate)):
        if found != wanted:
            raise AssetError(
                f"{key} is {found:g}, and rendered people come at {wanted:g}; set it so, or take {RENDERED_PEOPLE} out of evaluation.benchmarks"
            )
    held_out = range(config.seed, config.seed + config.clips)
    for seeds in trained:
        if len(seeds) and seeds[0] <= held_out[-1] and held_out[0] <= seeds[-1]:
            raise AssetError(
                f"people {held_out[0]} to {held_out[-1]} of benchmark {RENDERED_PEOPLE} are among those who are rendered for training, {seeds[0]} "
                f"to {seeds[-1]}; change evaluation.seed or demo.seed"
            )


def seeds_of_people(demo: DemoConfig, seeds: range) -> list[range]:
    """Everybody whom a demo of people shows: those who speak, and those who stand behind them or take their place."""
    return [seeds, range(seeds.start + OTHER, seeds.stop + OTHER)] if demo.world == "people" else []


def build_rendered_people(
    destination: Path, config: EvaluationConfig, video: VideoConfig, trained: Iterable[range], training: str
) -> FrozenSet:
    """Render `config.clips` clean clips of people from seed `config.seed` on, with held-out voices and sentences, and freeze them.

    Args:
        destination: folder to make or replace.
        config, video, trained: as `check_rendered_people` takes them.
        training: what is trained on, for the record.

    Raises:
        AssetError: as `check_rendered_people`.
    """
    check_rendered_people(config, video, trained)
    with whole_directory(destination) as folder:
        for place in ("truth", *(place for place, _ in FILES.values())):
            (folder / place).mkdir()
        samples = [_write(seed, folder, video) for seed in range(config.seed, config.seed + config.clips)]
        write_manifest(
            folder,
            samples,
            {
                "kind": RENDERED_PEOPLE,
                "disjoint_from": f"{training}, by seed and identity; voices and sentences are of the held-out split",
                "pose_detector": POSES,
                "skipped": {},
                HASHES: {s.sample_id: sha256_of_file(truth_file(folder, s.sample_id)) for s in samples},
            },
        )
    return load_frozen_set(destination)


def _write(seed: int, folder: Path, video: VideoConfig) -> FrozenSample:
    """One person's files: the window is the clip's first frames, the reference its last."""
    behind = video.frames - 1 + max(1, video.reference_gap)
    clip = people.render(seed, frames=behind + 1 + -behind % 4, size=video.height, split="held_out")
    window, total = video.frames, len(clip.frames)
    heard = np.asarray(clip.audio, np.float32)[: round(window / video.fps * video.sample_rate)]
    made = encode_clip(
        clip.frames[:window], video.fps, heard, video.sample_rate, crf=LOSSLESS_TO_THE_EYE, audio_bitrate=AUDIO_BITRATE
    )
    sha256 = hashlib.sha256(made).hexdigest()
    name = sha256[:16]
    files = {column: file_in_set(column, name) for column in FILES}
    (folder / files["clip"]).write_bytes(made)
    cv2.imwrite(str(folder / files["reference"]), cv2.cvtColor(clip.frames[-1], cv2.COLOR_RGB2BGR))
    soundfile.write(folder / files["audio"], heard, video.sample_rate, "PCM_16")
    keypoints = clip.keypoints[:window]
    write_keypoints(folder / files["pose"], Keypoints(keypoints, video.width, video.height, video.fps))
    write_atomically(truth_file(folder, name), _truth_of(clip, window))
    # What models are held against is what the file says, not what went into it.
    frames = decode_frames(made, video.fps)
    facts = measure_facts(frames, video.fps, keypoints, None, heard)
    return FrozenSample(
        sample_id=name, name=f"{clip.name}.mp4", sha256=sha256,
        phash=_looks(frames, video.fps),
        identity=clip.name, caption=clip.caption,
        **files, **{f"{column}_sha256": sha256_of_file(folder / file) for column, file in files.items()},  # type: ignore[arg-type]
        source_width=video.width, source_height=video.height, width=video.width, height=video.height,
        bucket=f"{video.height}x{video.width}x{window}", window_start=0, window_frames=window, reference_frame=total - 1,
        fps=video.fps, sample_rate=video.sample_rate, seconds=total / video.fps, **vars(facts),
    )  # fmt: skip


def _looks(frames: np.ndarray, fps: float) -> str:
    """The perceptual hash that intake gives the file, hex."""
    thumbnails = Thumbnails()
    for number, picture in enumerate(frames):
        thumbnails.look(number / fps, picture)
    return video_hash(thumbnails.between(0.0, len(frames) / fps)).hex()


def _truth_of(clip: people.Person, window: int) -> bytes:
    told = clip.labels()["person"]
    end = window / clip.fps
    phones = [[symbol, start, min(stop, end)] for symbol, start, stop in told["phones"] if start < end]
    values = {name: told[name] for name in OF_CLIP} | {name: told[name][:window] for name in PER_FRAME}
    return json.dumps({**values, "phones": phones}).encode()
