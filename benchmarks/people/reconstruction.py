"""What an autoencoder keeps of rendered people whom it never saw: `python -m benchmarks.people.reconstruction FOLDER ... [--sheet OUT.png]`.

Pixels by region, beside what published networks still read: faces that MediaPipe finds, dlib's distance to the original, how the mouth opens.
Clips have the sizes that the folder's autoencoder was made for; `--record` writes the numbers into its RECIPE.json.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKLWan

from curation.people.wholebody.holistic import MediaPipeHolistic
from evaluation.metrics.people.face_reading import FaceReading
from evaluation.metrics.wholebody import CONFIDENT
from evaluation.networks.dlib_face import DlibFaceEmbedding
from media import write_atomically
from media.speech.mouth_and_sound import correlation
from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder, to_frames, to_pixels
from people import Person, render
from training.recipes.people_clips import region_boxes

SEED = 93_000_000  # of held-out people; neither a demo's, a recipe's nor a benchmark's


def people_of(clips: int, frames: int, size: int, seed: int = SEED) -> list[Person]:
    """Clean clips in a demo's framings, with held-out voices and sentences."""
    return [render(s, frames=frames, size=size, split="held_out") for s in range(seed, seed + clips)]


def reconstructed(autoencoder: AutoencoderKLWan, frames: np.ndarray) -> np.ndarray:
    """`(T, H, W, 3)` uint8 encoded and decoded."""
    return to_frames(decode_video(autoencoder, encode_video(autoencoder, to_pixels(torch.from_numpy(frames)[None]))))[
        0
    ].numpy()


def _decibels(squares: list[np.ndarray]) -> float:
    """Of each clip's mean squared error, and then the mean."""
    return float(np.mean([10 * np.log10(255.0**2 / max(1e-6, s.mean())) for s in squares if s.size]))


def scores(autoencoder: AutoencoderKLWan, people: list[Person]) -> dict[str, float]:
    """PSNR in dB by region; share of faces found, distances and correlations, each beside what the originals give."""
    detector = MediaPipeHolistic.packaged()
    dlib = DlibFaceEmbedding(f"{detector.name} {detector.version}")
    squares: dict[str, list[np.ndarray]] = {name: [] for name in ("whole", "face", "mouth", "hands")}
    rows: dict[str, list[float]] = {}
    for person in people:
        made = reconstructed(autoencoder, person.frames)
        error = (made.astype(np.float64) - person.frames) ** 2
        boxes, size = region_boxes(person.keypoints, error.shape[1]), error.shape[1]
        squares["whole"].append(error)
        for place, group in (("face", (0,)), ("mouth", (1,)), ("hands", (2, 3))):
            cuts = [
                error[t, b[1] : b[3], b[0] : b[2]].reshape(-1)
                for t in range(len(error))
                for b in boxes[t, list(group)]
                if b.any()
            ]
            squares[place].append(np.concatenate(cuts) if cuts else np.zeros(0))
        both = detector(person.frames), detector(made)
        real, own = (FaceReading.of(points, size, size) for points in both)
        distance = np.linalg.norm(dlib(person.frames, both[0]) - dlib(made, both[1]), axis=1)
        seen = both[0][..., 2] > CONFIDENT
        row = {
            "faces_found": own.found.mean(), "faces_found_in_originals": real.found.mean(),
            "dlib_distance": np.nanmean(distance) if np.isfinite(distance).any() else np.nan,
            "mouth_r_with_originals": correlation(own.opening, real.opening),
            "mouth_r_with_truth": correlation(own.opening, person.opening), "mouth_r_of_originals": correlation(real.opening, person.opening),
            "missing_keypoints": (both[1][..., 2][seen] <= CONFIDENT).mean() if seen.any() else np.nan,
        }  # fmt: skip
        for name, value in row.items():
            rows.setdefault(name, []).append(float(value))
    out = {f"psnr_{name}_db": _decibels(values) for name, values in squares.items()}
    out |= {
        name: float(np.nanmean(values)) if np.isfinite(values).any() else float("nan") for name, values in rows.items()
    }
    return {name: round(value, 4) for name, value in out.items()}


def sheet(autoencoder: AutoencoderKLWan, people: list[Person], columns: int = 8) -> np.ndarray:
    """`(H, W, 3)` uint8: originals above, reconstructions below, of the last frame of each person."""
    pairs = [np.concatenate([p.frames[-1], reconstructed(autoencoder, p.frames)[-1]]) for p in people]
    pairs = pairs[: len(pairs) // columns * columns] or pairs
    return np.concatenate([np.concatenate(pairs[i : i + columns], axis=1) for i in range(0, len(pairs), columns)])


def main() -> None:
    """Print a row for each folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument(
        "--record", action="store_true", help="write the numbers into the folder's RECIPE.json as held_out"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    people = people_of(args.clips, args.frames, args.size)
    for folder in args.folders:
        autoencoder = load_autoencoder(folder.resolve())
        found = scores(autoencoder, people)
        print(json.dumps({"folder": str(folder), **found}), flush=True)
        if args.record:
            path = folder / "RECIPE.json"
            record = json.loads(path.read_text()) | {
                "held_out": {"clips": args.clips, "frames": args.frames, "seed": SEED, **found}
            }
            write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())
        if args.sheet:
            picture = cv2.cvtColor(sheet(autoencoder, people[:16]), cv2.COLOR_RGB2BGR)
            write_atomically(args.sheet, cv2.imencode(args.sheet.suffix, picture)[1].tobytes())


if __name__ == "__main__":
    main()
