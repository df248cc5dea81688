"""The studies: grids over the training configuration, as data. Each variant is the profile's recipe with something changed.

A study says which trainings it makes again (`trains`); everything above them stands and is shared. Claims are the papers' own,
OmniHuman-1 (v2: the arXiv text, v3: ICCV 2025), APT and APT2.
"""

from dataclasses import dataclass

FULL = "full"
IMAGES, VIDEOS = "adversarial_images", "adversarial_videos"


@dataclass(frozen=True)
class Variant:
    """One row of a study.

    Attributes:
        name: in the table's file.
        title: for people.
        claim: what the paper says of it.
        overrides: keys of the profile, `key.path=value`, in the sections that the study trains.
    """

    name: str
    title: str
    claim: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """One grid.

    Attributes:
        name: of its folder, its partition, and of `--study`.
        title: for people.
        trains: assets that its variants make for themselves, parents first; the last one is scored.
        variants: the first is what the others are compared with.
        always: overrides of every variant.
        beside: asset that stands and is scored as a row of its own.
    """

    name: str
    title: str
    trains: tuple[str, ...]
    variants: tuple[Variant, ...]
    always: tuple[str, ...] = ()
    beside: str | None = None

    @property
    def one_step(self) -> bool:
        """Whether what it scores samples in one step, as students do, or in the teacher's number of steps."""
        return self.trains[-1] not in STAGES


STAGES = ("stage_1_checkpoint", "stage_2_checkpoint", "stage_3_checkpoint")
# The rules against collapse are off: the study measures what they would prevent.
RULES_OFF = tuple(
    f"{phase}.collapse.{rule}"
    for phase in (IMAGES, VIDEOS)
    for rule in ("gap_limit=1e9", "diversity_min=0.0", "max_rollbacks=0")
)


def _both(*settings: str) -> tuple[str, ...]:
    return tuple(f"{phase}.{setting}" for phase in (IMAGES, VIDEOS) for setting in settings)


def _each(stages: tuple[int, ...], *settings: str) -> tuple[str, ...]:
    return tuple(f"stage_{stage}.{setting}" for stage in stages for setting in settings)


def _audio(share: float) -> tuple[str, ...]:
    # Drawn by itself: nested ratios would move text, reference or pose along with it.
    return _each((2, 3), "ratios.nested=false", f"ratios.audio={share}")


ADVERSARIAL = Study(
    "adversarial",
    "What of adversarial post-training matters",
    ("adversarial_image_student", "distilled_student"),
    (
        Variant(FULL, "full recipe", "the profile's own"),
        Variant(
            "no_consistency",
            "no consistency initialisation",
            "collapses (APT section 4.2)",
            (f"{IMAGES}.generator_from=diffusion",),
        ),
        Variant(
            "no_r1", "no R1", "loss of D goes to 0, coloured plates (APT section 4.3)", _both("penalty_weight=0.0")
        ),
        Variant("last_head", "last-layer head only", "wrong proportions (APT section 5.3)", _both("heads=last")),
        Variant(
            "shift_1", "s = 1 for videos", "videos need s = 12 (APT section 4.3)", (f"{VIDEOS}.timestep_shift=1.0",)
        ),
        Variant(
            "distilled_critic",
            "discriminator from distilled weights",
            "worse than from diffusion weights (APT section 4.3)",
            _both("discriminator_from=distilled"),
        ),
        Variant(
            "relativistic",
            "relativistic loss, R1 and R2, ten times lambda",
            "trains at small batches (APT2 section 3.3)",
            _both("objective=relativistic", "penalty_weight=30.0"),
        ),
    ),
    RULES_OFF,
    "consistency_student",
)
CONSISTENCY = Study(
    "consistency",
    "Switches of consistency distillation",
    ("consistency_student",),
    (
        Variant(FULL, "full recipe", "the profile's own"),
        Variant("grid_8", "grid of 8 timesteps", "APT2 takes 32", ("consistency.grid=8",)),
        Variant("guided", "teacher guided by 7.5", "APT guides, APT2 does not", ("consistency.guidance=apt",)),
        Variant(
            "no_audio",
            "distilled without sound and pose",
            "not in the papers",
            ("consistency.ratios.audio=0.0", "consistency.ratios.pose=0.0"),
        ),
    ),
)
GUIDANCE = Study(
    "guidance",
    "How strongly the consistency student's teacher is guided, as the distilled student shows it",
    ("consistency_student", "adversarial_image_student", "distilled_student"),
    (
        Variant(FULL, "full recipe (laptop: no guidance)", "the profile's own; APT2 takes none: artefacts"),
        *(
            Variant(
                f"scale_{scale}",
                f"guided by {scale} where no pose drives",
                "not in the papers",
                (f'consistency.guidance={{"text":{scale},"audio":{scale},"posed":false}}',),
            )
            for scale in (3, 5, 7)
        ),
        Variant("guided", "guided by 7.5, all samples", "APT section 4.2", ("consistency.guidance=apt",)),
    ),
    RULES_OFF,
)
AUDIO_RATIO = Study(
    "audio_ratio",
    "How often audio is given while it is learnt",
    STAGES[1:],
    (
        Variant(FULL, "full recipe (audio 50 %, nested)", "the profile's own"),
        Variant(
            "audio_10",
            "audio 10 %, drawn by itself",
            "worst lip-sync: 11.6 % of votes (OmniHuman-1 v2 table 3)",
            _audio(0.1),
        ),
        Variant(
            "audio_50",
            "audio 50 %, drawn by itself",
            "best in all five questions; lip-sync 53.6 % of votes",
            _audio(0.5),
        ),
        Variant(
            "audio_100", "audio 100 %, drawn by itself", "lip-sync 30.4 % of votes, identity the worst", _audio(1.0)
        ),
    ),
)
POSE_RATIO = Study(
    "pose_ratio",
    "How often pose is given while it is learnt",
    STAGES[2:],
    (
        Variant(FULL, "full recipe", "the profile's own"),
        *(
            Variant(
                f"pose_{share}",
                f"pose {share} %, drawn by itself",
                claim,
                _each((3,), "ratios.nested=false", f"ratios.pose={share / 100}"),
            )
            for share, claim in (
                (20, "sound alone: too frequent, blurred gestures (OmniHuman-1 v2 section 4.3)"),
                (50, "preferred by v2; v3 takes 25 %"),
                (80, "sound alone: the pose hardly moves"),
            )
        ),
    ),
)
REFERENCE_RATIO = Study(
    "reference_ratio",
    "How often the reference is given",
    STAGES,
    (
        Variant(FULL, "full recipe", "the profile's own"),
        *(
            Variant(
                f"reference_{share}",
                f"reference {share} %, drawn by itself",
                claim,
                _each((1, 2, 3), "ratios.nested=false", f"ratios.reference={share / 100}"),
            )
            for share, claim in (
                (30, "noise and drifting colours over 30 s (OmniHuman-1 v2 section 4.3)"),
                (70, "preferred"),
            )
        ),
    ),
)
STAGE_ORDER = Study(
    "stage_order",
    "In which order audio and pose join text and reference",
    STAGES[1:],
    (
        Variant(
            FULL, "audio, then pose at half its ratio", "the profile's own; Sync-C 4.93, HKC .886 (OmniHuman-1 v3)"
        ),
        Variant("audio_only", "audio, then no pose", "best lip-sync: Sync-C 4.99", _each((3,), "ratios.pose=0.0")),
        Variant(
            "weak_audio",
            "audio, then pose at twice its ratio",
            "Sync-C 4.20, HKC .869",
            _each((3,), "ratios.nested=false", "ratios.audio=0.25", "ratios.pose=0.5"),
        ),
        Variant(
            "pose_first",
            "pose, then audio",
            "worst: Sync-C 2.79, HKC .822",
            _each((2,), "ratios.nested=false", "ratios.audio=0.0", "ratios.pose=0.5"),
        ),
        Variant("together", "audio and pose at once", "not in the paper", _each((2,), "ratios.pose=0.25")),
    ),
)
TIMESTEPS = Study(
    "timesteps",
    "At which noise stage 3 trains most",
    STAGES[2:],
    (
        Variant(FULL, "full recipe", "the profile's own; Wan2.1 samples at 480p with s = 3"),
        Variant(
            "shift_1",
            "logit-normal, s = 1",
            "for small pictures (Stable Diffusion 3 section 5.3.2)",
            ("stage_3.timestep_shift=1.0",),
        ),
        Variant("shift_6", "logit-normal, s = 6", "not in the papers", ("stage_3.timestep_shift=6.0",)),
        Variant(
            "uniform",
            "uniform, s = 1",
            "worse than logit-normal (Stable Diffusion 3 table 1)",
            ("stage_3.timestep_law=uniform", "stage_3.timestep_shift=1.0"),
        ),
    ),
)
TEXT_ONLY_DATA = Study(
    "text_only_data",
    "What the clips that only text and reference may use are good for",
    STAGES,
    (
        Variant(FULL, "full recipe (all of them)", "FID 36.0, Sync-C 4.99 (OmniHuman-1 v3)"),
        Variant("without", "only clips that audio may use", "FID 39.8, Sync-C 4.30", _each((1, 2, 3), "subset=audio")),
    ),
)
STUDIES = {
    study.name: study
    for study in (
        ADVERSARIAL,
        CONSISTENCY,
        GUIDANCE,
        AUDIO_RATIO,
        POSE_RATIO,
        REFERENCE_RATIO,
        STAGE_ORDER,
        TIMESTEPS,
        TEXT_ONLY_DATA,
    )
}
