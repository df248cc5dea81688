"""What the metrics keep of each generated video of real clips, measured clip by clip by whichever process has its turn."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evaluation.baselines.own_models import frozen_samples
from evaluation.baselines.sanity import DamageTrial
from evaluation.benchmark.benchmark_plan import AUDIO, POSE_ALONE, SECOND_SEED, SHUFFLED_AUDIO, SHUFFLED_POSE
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.generate import ALONE, Progress, Share
from evaluation.benchmark.generated import open_sets
from evaluation.benchmark.given import given_sound
from evaluation.kept_records import KeptRecords
from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.observation.needs import Need, judges_of
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.registry import METRICS
from evaluation.panel import Panel
from media import encode_clip

FITNESS_SAMPLES = 32  # on which known damage is tried


class ClipSets:
    """Feeds panels with a benchmark's videos and its true clips; one clip in memory at a time, each looked at once."""

    def __init__(
        self,
        generated_root: Path,
        benchmark: ClipBenchmark,
        sets: Sequence[tuple[str, str]],
        instruments: Instruments,
        kept: KeptRecords | None = None,
        try_damage: bool = True,
    ):
        """Look for everything before anything is measured: a missing folder should not cost minutes.

        Args:
            generated_root: `<model>/<mode>` inside.
            benchmark: the clips.
            sets: models and modes.
            instruments: what looks.
            kept: clips that are measured already.
            try_damage: also known damage to the clips themselves, where there are two or more.

        Raises:
            evaluation.benchmark.generated.GenerationError: videos that are missing or belong to another benchmark.
        """
        self._benchmark, self._sets, self._instruments = benchmark, sets, instruments
        self.made = open_sets(generated_root, benchmark, sets)
        self._kept = kept or KeptRecords()
        self._numbers = {name: clip for clip, name in enumerate(benchmark.names)}
        tried = range(min(FITNESS_SAMPLES, len(benchmark)))
        self.damage = (
            DamageTrial(instruments, frozen_samples(benchmark, tried, pictures=False), self._kept)
            if try_damage and len(benchmark) > 1
            else None
        )

    def measure(self, share: Share = ALONE, progress: Progress | None = None) -> None:
        """Measure a share of the clips in every set, for whoever asks for the sets then. A clip's turn is one process's in all sets, which
        looks once at the real clip.
        """
        for done, (model, mode) in enumerate(self._sets, start=1):
            for name in self._names(model, mode):
                if self._numbers[name] % share.of == share.index:
                    self._records(model, mode, name)
            if progress is not None:
                progress(done, len(self._sets), f"{model} {mode}")
        if self.damage is not None:
            self.damage.measure(range(share.index, len(self.damage), share.of))

    def panel(self, model: str, mode: str) -> Panel:
        """Every metric of one set, fed with all of its clips; what no process has measured yet is measured here."""
        panel = self._empty(mode)
        for name in self._names(model, mode):
            panel.take(self._records(model, mode, name))
        return panel

    def _names(self, model: str, mode: str) -> Sequence[str]:
        made = self.made.get((model, mode))
        return self._benchmark.names if made is None else made.names

    def _records(self, model: str, mode: str, name: str) -> Any:
        return self._kept.get(f"{model}/{mode}/{name}", partial(self._measured, model, mode, name))

    def _measured(self, model: str, mode: str, name: str) -> Any:
        panel = self._empty(mode)
        panel.update(self._observed(model, mode, name))
        return panel.records()

    def _empty(self, mode: str) -> Panel:
        """What is asked of a set: of a second seed only what compares it with the first.

        Of the modes that show what a pose does by itself and where another's leads, only what keypoints tell: they are there to be floors.
        """
        has: set[Need] = {"truth_frames", "reference"}
        if self._benchmark.knows_truth:
            has |= {"person_truth"}
        if self._benchmark.driven_by(AUDIO) and mode != POSE_ALONE:
            has |= {"sound", "sounding_file"}
        only = None
        if mode == SECOND_SEED:
            has |= {"second_seed"}
            only = [name for name, kind in METRICS.items() if "second_seed" in kind.needs]
        if mode in (POSE_ALONE, SHUFFLED_POSE):
            only = [name for name, kind in METRICS.items() if {*judges_of(kind.needs)} == {"keypoints"}]
        return Panel(self._instruments, has, only)

    def _observed(self, model: str, mode: str, name: str) -> Observed:
        benchmark, clip = self._benchmark, self._numbers[name]
        sample, made = benchmark.sample(clip), self.made.get((model, mode))
        real = sample.frames.numpy()
        frames = real if made is None else made.frames(name)
        sound = None if mode == POSE_ALONE else sample.audio
        if mode == SHUFFLED_AUDIO:
            heard = [self._numbers[one] for one in self._names(model, mode) if benchmark.heard(self._numbers[one])]
            sound = benchmark.sample(given_sound(benchmark, heard, clip)).audio
        wave = None if sound is None else sound.numpy()
        return Observed(
            name,
            benchmark.fps,
            frames,
            self._instruments,
            real=real,
            reference=sample.reference.numpy(),
            sound=wave,
            sample_rate=benchmark.sample_rate,
            file=None if wave is None else partial(encode_clip, frames, benchmark.fps, wave, benchmark.sample_rate),
            second_seed=self.made[model, AUDIO].frames(name) if mode == SECOND_SEED else None,
            person_truth=partial(benchmark.truth, clip) if benchmark.knows_truth else None,
        )
