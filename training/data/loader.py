"""Batches from a frozen snapshot: memory-mapped features, an order that depends on seed and number alone.

Batch number k, one optimiser step's over all ranks, is fixed by snapshot, seed and configuration: which clips, of which
bucket, which conditions, which noise, which timestep. A rank takes its slice of it. So resume needs one number, and
another number of ranks sees the same data in the same order.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from media.records import RecordError, SnapshotRecord
from profiles.conditions import MASKED, TABLE
from profiles.schema import Bucket, Profile, Ratios
from training.data.batch import Batch as Batch
from training.data.batch import SampleDraw as SampleDraw
from training.data.batch_order import BatchOrder, Stream, stream_entropy
from training.data.compatibility import SnapshotError as SnapshotError
from training.data.compatibility import check_encoders, check_shapes, check_table
from training.data.conditions import Conditions, draw_conditions
from training.data.feature_rows import FeatureRows
from training.data.prefetch import Prefetch
from training.data.rank_batch import Part, RankBatch
from training.data.realised_ratios import RealisedRatios

LIPS = slice(71, 91)  # of COCO-WholeBody-133


class SnapshotData:
    """Reads batches of one subset of a snapshot by number."""

    def __init__(
        self,
        snapshot: Path,
        features: Path | FeatureRows,
        profile: Profile,
        subset: str,
        seed: int,
        batch_size: int,
        ratios: Ratios,
        image_share: float = 0.0,
        held_out: bool = False,
        lips: bool = False,
    ):
        """Open the manifest and check that the features are those of this profile.

        Args:
            snapshot: folder with snapshot.json and samples.parquet.
            features: folder with one folder of features per shard, or rows wherever they are (`feature_rows`).
            profile: buckets, encoders and model that the features must fit.
            subset: one of `profiles.conditions.SUBSETS`.
            seed: of order and draws.
            batch_size: samples of the main bucket per batch; another bucket's have as many as the same tokens make.
            ratios: of the conditions.
            image_share: of the batches, that are first frames alone.
            held_out: read the clips that training never sees instead of those that it does.
            lips: read where mouths are, for a loss that weighs them.

        Raises:
            SnapshotError: missing manifest, an empty subset, or features made with other encoders or sizes.
        """
        self.lips = lips
        record = _read_record(snapshot)
        self.digest = record.digest
        table = pd.read_parquet(snapshot / "samples.parquet")
        check_table(table, snapshot)
        kept = table["clip_id"].map(lambda clip: is_held_out(clip, profile.curation.held_out_share)) == held_out
        self.table = table[table[subset] & kept].sort_values("sample_id").reset_index(drop=True)
        if self.table.empty:
            raise SnapshotError(
                f"the snapshot {snapshot} has no {'held-out ' if held_out else ''}sample in the subset {subset!r}; "
                "ingest clips that pass its predicate"
            )
        self.profile, self.seed, self.ratios = profile, seed, ratios
        self.rows = features if isinstance(features, FeatureRows) else FeatureRows(features)
        check_encoders(record.encoders, profile, snapshot)
        # Columns as arrays: a cell of a data frame costs a hundred times one of an array.
        self._column = {name: self.table[name].to_numpy() for name in self.table.columns}
        self._buckets = {profile.video.name_of(b): b for b in profile.video.all_buckets}
        self._check_buckets(snapshot)
        self.order = BatchOrder(self._streams(batch_size, image_share), image_share)
        self._drawn: tuple[int, tuple[SampleDraw, ...]] | None = None
        self._drawing = threading.RLock()  # of draws and order, which what is loaded ahead asks for too
        self.ahead: Prefetch[Part, Batch] = Prefetch(self._part, self._following, profile.engine.prefetch)
        self._asked, self._step = -1, 1

    def _check_buckets(self, snapshot: Path) -> None:
        for bucket, rows in self.table.groupby("bucket", sort=True).indices.items():
            name = str(bucket)
            if name not in self._buckets:
                raise SnapshotError(
                    f"the snapshot {snapshot} has samples of the bucket {name}, the profile {self.profile.name} has "
                    f"{', '.join(self._buckets)}; re-run condition_features and training_snapshot with this profile"
                )
            shard = str(self._column["shard"][rows[0]])
            shapes = self.rows.shapes(shard, name)
            check_shapes(shapes, self._buckets[name], self.profile, self.rows.root / shard)

    def _streams(self, batch_size: int, image_share: float) -> list[Stream]:
        video = self.profile.video
        budget = batch_size * self._tokens(video.main, image=False)
        streams = []
        for name, bucket in self._buckets.items():
            rows = np.flatnonzero(self._column["bucket"] == name)
            for image in (False, True):
                if not len(rows) or (image and not image_share) or (not image and image_share == 1):
                    continue
                main = bucket == video.main and not image
                engine = self.profile.engine
                # By what a pass takes, and not by how many ranks share them: any number of ranks sees the same batches.
                passes = engine.micro_batch and batch_size // engine.micro_batch
                multiple = passes or video.batch_multiple * engine.gradient_accumulation
                tokens = self._tokens(bucket, image)
                size = batch_size if main else max(1, budget // tokens // multiple) * multiple
                streams.append(Stream(name, image, rows, size, tokens, () if main else stream_entropy(name, image)))
        return streams

    def _tokens(self, bucket: Bucket, image: bool) -> int:
        """Tokens of one sample, with the reference's and the motion frames' that are packed beside it."""
        packed = (self.ratios.reference > 0) + self.profile.video.motion_latents * (
            self.ratios.motion > 0 and not image
        )
        return bucket.frame_tokens * ((1 if image else bucket.latent_frames) + packed)

    def __len__(self) -> int:
        return len(self.table)

    def draws(self, number: int) -> tuple[SampleDraw, ...]:
        """Every sample of batch `number`, over all ranks: which and with what."""
        with self._drawing:
            return self._draws(number)

    def _draws(self, number: int) -> tuple[SampleDraw, ...]:
        if self._drawn is None or self._drawn[0] != number:
            stream, first = self.order.place(number)
            rows = stream.rows_at(first, stream.batch_size, self.seed)
            # One draw for the batch: a single sample with motion tokens would lengthen the whole batch's sequence. A stream
            # of its own: a run without motion draws the same conditions, times and noise.
            moved = bool(np.random.default_rng([self.seed, 3, first, *stream.entropy]).random() < self.ratios.motion)
            drawn = tuple(self._draw(stream, first + i, row, moved) for i, row in enumerate(rows))
            self._drawn = (number, drawn)
        return self._drawn[1]

    def _draw(self, stream: Stream, position: int, row: int, moved: bool) -> SampleDraw:
        cell = {name: column[row] for name, column in self._column.items()}
        # A picture has no sound and no movement to follow: it trains the weaker conditions.
        may = {row.name: not (row.subset and not cell[row.name]) and not (row.moves and stream.image) for row in TABLE}
        eligible = Conditions(**may)
        has_motion = bool(cell["has_motion"]) and not stream.image
        rng = np.random.default_rng([self.seed, 2, position, *stream.entropy])
        on = draw_conditions(self.ratios, eligible, rng)
        uniform, noise_seed = rng.random(), int(rng.integers(2**62))
        return SampleDraw(
            clip_id=str(cell["clip_id"]), shard=str(cell["shard"]), bucket=stream.bucket, row=int(cell["row"]),
            image=stream.image, eligible=eligible, on=on, motion_eligible=has_motion, motion=has_motion and moved,
            reference_outside=bool(cell["reference_outside"]), uniform=uniform, noise_seed=noise_seed,
        )  # fmt: skip

    def batch(self, number: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Load this rank's slice of batch `number`.

        Raises:
            SnapshotError: the batch does not divide by ranks and accumulation steps.
        """
        return self._load(*self._share(number, rank, ranks))

    def rank_batch(self, number: int, rank: int = 0, ranks: int = 1, images: bool = False) -> RankBatch:
        """As `batch`, to be loaded a micro-batch at a time, the next one while a step runs; `images` are first latents alone
        (`Batch.as_images`), and nothing else of a video is read.

        Raises:
            SnapshotError: the batch does not divide by ranks and accumulation steps.
        """
        draws, given = self._share(number, rank, ranks)
        if number != self._asked:
            self._asked, self._step = number, number - self._asked if self._asked >= 0 else 1
        shapes = dict(self.rows.shapes(draws[0].shard, draws[0].bucket))
        if images or draws[0].image:
            channels, _, *grid = shapes["latents"]
            shapes["latents"] = (channels, 1, *grid)

        def load(index: int, parts: int) -> Batch:
            return self.ahead.get(Part(number, rank, ranks, images, index, parts))

        return RankBatch(draws, given - {"motion"} if images else given, shapes, load)

    def _following(self, part: Part) -> Iterator[Part]:
        return part.following(self._step)

    def _part(self, part: Part) -> Batch:
        draws, given = self._share(part.number, part.rank, part.ranks)
        size = len(draws) // part.parts
        batch = self._load(draws[part.index * size : (part.index + 1) * size], given, part.images)
        return batch.pinned() if torch.cuda.is_available() else batch

    def _share(self, number: int, rank: int, ranks: int) -> tuple[tuple[SampleDraw, ...], frozenset[str]]:
        """A rank's samples of a batch, and what the model is given of them."""
        draws = self.draws(number)
        parts = ranks * self.profile.engine.gradient_accumulation
        if len(draws) % parts:
            raise SnapshotError(
                f"a batch of bucket {draws[0].bucket} has {len(draws)} samples, which do not divide by {ranks} ranks x "
                f"{self.profile.engine.gradient_accumulation} accumulation steps; make batch_size a multiple of {parts} "
                f"and video.batch_multiple one of {ranks}"
            )
        share = len(draws) // ranks
        # By the run's ratios and the whole batch, never by this rank's samples: see `Batch.given`.
        masked = [row for row in TABLE if row.name in MASKED and not (row.moves and draws[0].image)]
        given: set[str] = {row.name for row in masked if getattr(self.ratios, row.name) > 0}
        given |= {"motion"} if any(draw.motion for draw in draws) else set()
        return draws[rank * share : (rank + 1) * share], frozenset(given)

    def chosen(self, rows: Sequence[int], on: Conditions) -> Batch:
        """These rows of `table`, of one bucket, under the given conditions and always with the same noise."""
        draws = []
        for row in rows:
            cell = {name: column[row] for name, column in self._column.items()}
            seed = int.from_bytes(hashlib.sha256(str(cell["sample_id"]).encode()).digest()[:7], "big")
            draws.append(
                SampleDraw(
                    clip_id=str(cell["clip_id"]),
                    shard=str(cell["shard"]),
                    bucket=str(cell["bucket"]),
                    row=int(cell["row"]),
                    image=False,
                    eligible=on,
                    on=on,
                    motion_eligible=False,
                    motion=False,
                    reference_outside=bool(cell["reference_outside"]),
                    uniform=0.5,
                    noise_seed=seed,
                )
            )
        return self._load(tuple(draws), frozenset(on.active) - {"text"})

    def _load(self, draws: tuple[SampleDraw, ...], given: frozenset[str], images: bool = False) -> Batch:
        """Tensors of these samples; with `images` as `Batch.as_images` gives them, without reading what that leaves out."""
        places, bucket, image = [(d.shard, d.row) for d in draws], draws[0].bucket, draws[0].image or images
        # The noise of an image is the first frame's of the video's, as it is where a whole video was loaded.
        shape = self.rows.shapes(*places[0][:1], bucket)["latents"] if images else None

        def gather(name: str, axis: int | None = None) -> Tensor:
            return self.rows.gather(places, bucket, name, (axis, 1) if image and axis is not None else None)

        latents, null_text = gather("latents", 2), gather("null_text")
        with_text = _mask(d.on.text for d in draws).bool()[:, None, None]
        return Batch(
            latents=latents,
            noise=torch.stack([_noise(shape or latents.shape[1:], d.noise_seed)[:, : latents.shape[2]] for d in draws]),
            uniform=torch.tensor([d.uniform for d in draws], dtype=torch.float32),
            text=torch.where(with_text, gather("text"), null_text),
            null_text=null_text,
            audio=gather("audio", 1),
            keypoints=gather("keypoints", 1)[:, :, list(self.profile.transformer.pose_keypoints)],
            reference=gather("reference_latents"),
            motion=torch.zeros_like(gather("reference_latents")).repeat(1, 1, self.profile.video.motion_latents, 1, 1)
            if images
            else gather("motion_latents"),
            **{f"{name}_mask": _mask(getattr(d.on, name) for d in draws) for name in MASKED},
            motion_mask=_mask(d.motion and not images for d in draws),
            samples=draws,
            given=given - {"motion"} if images else given,
            stride=self.profile.video.stride,
            lips=gather("keypoints", 1)[:, :, LIPS] if self.lips else None,
        )

    def numbers(self, number: int) -> dict[str, float]:
        """What a step logs of batch `number`, over all ranks: tokens, packed ones counted too, and realised ratios."""
        with self._drawing:
            realised, (stream, _) = RealisedRatios(), self.order.place(number)
            realised.add(self.draws(number))
        return {"tokens": stream.tokens * stream.batch_size, **realised.marginals()}

    def state(self, number: int) -> dict[str, int]:
        """Where the loader stands before batch `number`: seed, samples consumed over all ranks, and epoch, which counts
        how often they are the whole subset."""
        with self._drawing:
            samples = self.order.consumed(number)
        return {"seed": self.seed, "samples_consumed": samples, "epoch": samples // len(self)}


def _read_record(snapshot: Path) -> SnapshotRecord:
    try:
        return SnapshotRecord.read(snapshot)
    except RecordError as error:
        raise SnapshotError(str(error)) from error


def is_held_out(clip_id: str, share: float) -> bool:
    """Whether a clip belongs to the part that no training sees: by its id alone, so the same in every snapshot."""
    return int.from_bytes(hashlib.sha256(b"held out " + clip_id.encode()).digest()[:4], "big") < share * 2**32


def _mask(flags: Iterable[bool]) -> Tensor:
    return torch.tensor([float(flag) for flag in flags])


def _noise(shape: Sequence[int], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
