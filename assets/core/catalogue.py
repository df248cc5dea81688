"""All steps as data, each after those it reads. `make` names a function that is imported when the step runs, so that whoever
only reads the list (Dagster's code location, dvc.yaml, the command line) imports nothing that does the work."""

from assets.core.steps import Step
from assets.core.training_recipes import RECIPES
from assets.core.versions import file_version, snapshot_version, weights_version
from assets.core.workspace import START, TOMBSTONES
from curation.scores.registry import versions_digest
from media.records import ProductRecord, SnapshotRecord
from profiles.conditions import SUBSETS

PREDICATES = tuple(f"curation.{name}" for name in SUBSETS)
# Engine settings that change the numbers; how often state is saved does not.
ENGINE = tuple(
    f"engine.{key}"
    for key in ("zero_stage", "precision", "gradient_accumulation", "gradient_clipping", "activation_checkpointing")
)


def _training(name: str, description: str) -> Step:
    recipe = RECIPES[name]
    return Step(
        name=name,
        description=description,
        make="assets.kinds.checkpoints:make_checkpoint",
        upstream=("training_snapshot", *recipe.parents),
        sections=("transformer", "video", "curation.held_out_share", *ENGINE, recipe.section),
        version="2",  # held-out clips, motion frames, the same conditions on every rank
        group="training" if recipe.kind == "stage" else "distillation",
        kinds=frozenset({"pytorch", "deepspeed", "mlflow", "dvc"}),
        marker=ProductRecord.FILE,
        data_version=weights_version,
        accelerated=True,
        files=(START,) if recipe.kind == "stage" else (),
        cover="curves",
    )


CURATION = (
    Step(
        name="raw_clips",
        description="Dropped clips as immutable, content-addressed shards: media in one tar, a row per clip, and a "
        "quarantine table with the reason for every file that could not be used.",
        make="assets.kinds.raw_clips:make_raw_clips",
        upstream=(),
        sections=("video.fps", "video.frames", "video.buckets", "curation.min_seconds", "curation.shots"),
        group="curation",
        kinds=frozenset({"python", "parquet", "dvc"}),
        marker="shard.json",
        sharded=True,
        version="4",  # a quick turn in a film's first or last frames is no cut
        contract="clips.parquet",
        cover="contact_sheet",
    ),
    Step(
        name="clip_scores",
        description="Picture, motion, overlay text, people, sound and lip-sync scores of every clip, as columns, with its "
        "keypoints. No clip is dropped: filters are predicates over these columns.",
        make="assets.kinds.clip_scores:make_clip_scores",
        upstream=("raw_clips",),
        sections=("video", "encoders.keypoints", "transformer.pose_keypoints", "curation.scores"),
        group="curation",
        kinds=frozenset({"python", "opencv", "parquet", "dvc"}),
        marker="scores.parquet",
        sharded=True,
        version=f"{versions_digest()}-3",  # long clips of large pictures as far as memory holds them in their bucket
        contract="scores.parquet",
        cover="histograms",
    ),
    Step(
        name="filtered_subsets",
        description="Which clips may train which condition: text ⊇ audio ⊇ pose. A clip that fails lip-sync or pose "
        "visibility still trains the weaker conditions. Changing a threshold computes no score anew.",
        make="assets.kinds.filtered_subsets:make_filtered_subsets",
        upstream=("raw_clips", "clip_scores"),
        sections=(*PREDICATES, "curation.silent_pose"),
        neutral={"curation.silent_pose": False},
        group="curation",
        kinds=frozenset({"pyarrow", "parquet", "dvc"}),
        marker="subsets.parquet",
        sharded=True,
        version="3",  # quarantine
        contract="subsets.parquet",
        cover="funnel",
    ),
    Step(
        name="condition_features",
        description="Video, reference and motion latents, text, speech-encoder states and keypoints of every training window of clips that the "
        "text subset keeps, and of those that were kept before. "
        "A row's key hashes the clip's bytes, the encoders' weights, the transform, the bucket and the dtype, so training on "
        "a stale cache is impossible.",
        make="assets.kinds.condition_features:make_condition_features",
        upstream=("raw_clips", "clip_scores", "filtered_subsets"),
        sections=("video", "encoders"),
        group="curation",
        kinds=frozenset({"pytorch", "huggingface", "dvc"}),
        marker="samples.parquet",
        sharded=True,
        version="8",  # text without padding, nothing for silence, files of at most two gigabytes
        contract="samples.parquet",
    ),
    Step(
        name="training_snapshot",
        description="A frozen list of shards, samples, predicates and hashes, without withdrawn clips. Training depends on this, never on all shards: "
        "lineage from a model to its clips is read from here.",
        make="assets.kinds.training_snapshot:make_training_snapshot",
        upstream=("raw_clips", "filtered_subsets", "condition_features"),
        sections=(*PREDICATES, "curation.silent_pose", "video", "encoders", "evaluation.held_out_people"),
        neutral={"curation.silent_pose": False, "evaluation.held_out_people": 0.0},
        group="curation",
        kinds=frozenset({"pandas", "parquet", "dvc"}),
        marker=SnapshotRecord.FILE,
        data_version=snapshot_version,
        files=(TOMBSTONES,),
        version="2",  # names each sample's bucket
        cover="a_look",
    ),
)

# Before training: what a model cannot be judged by should not cost one.
BENCHMARKS = (
    Step(
        name="benchmark_sets",
        description="The frozen sets that `evaluation.benchmarks` lists: puppets with exactly known mouth, joints and identity, or clips of "
        "people. Nothing in them may be trained on: seeds, bytes, near duplicates and persons are compared with the snapshot.",
        make="assets.kinds.judging.benchmark_sets:make_benchmark_sets",
        upstream=("training_snapshot",),
        sections=(
            "video",
            "evaluation.benchmarks",
            "evaluation.held_out_people",
            "evaluation.clips",
            "evaluation.seed",
            "encoders.keypoints",
            "demo",
        ),
        group="evaluation",
        kinds=frozenset({"python", "opencv", "dvc"}),
        marker="benchmarks.json",
        version="3",  # several, each in a folder of its own
        cover="first_frames",
    ),
)

TRAINING = (
    _training(
        "stage_1_checkpoint",
        "Stage 1 of omni-conditions training (OmniHuman-1 section 3.3): text and reference, on every usable clip.",
    ),
    _training(
        "stage_2_checkpoint",
        "Stage 2: audio joins, at half the samples that have it; the weaker conditions go on with all their data.",
    ),
    _training(
        "stage_3_checkpoint",
        "Stage 3: pose joins at half of audio's ratio, because the stronger condition learns faster. This is the teacher.",
    ),
    _training(
        "consistency_student",
        "Discrete consistency distillation of the teacher: one step, still blurred (APT section 4.2).",
    ),
    _training(
        "adversarial_image_student",
        "Adversarial post-training against real single frames, R1 approximated; the discriminator starts from the teacher.",
    ),
    _training(
        "distilled_student",
        "Adversarial post-training against real videos (APT section 4): the one-step student that may become champion.",
    ),
)

EVALUATION = (
    Step(
        name="generated_videos",
        description="Teacher, undistilled one-step teacher, consistency student and distilled student on the same benchmark "
        "with the same noise: audio-driven, pose-driven, and with another clip's sound as the floor.",
        make="assets.kinds.judging.generated_videos:make_generated_videos",
        upstream=("benchmark_sets", "stage_3_checkpoint", "consistency_student", "distilled_student"),
        sections=("evaluation", "encoders"),
        group="evaluation",
        kinds=frozenset({"pytorch", "huggingface", "mlflow", "dvc"}),
        marker="benchmarks.json",
        accelerated=True,
        version="3",  # on several benchmarks, a video at a time
        cover="contact_sheet",
    ),
    Step(
        name="benchmark_scores",
        description="Every metric that a benchmark, the profile's networks and the installed packages allow, of every model, with bootstrap "
        "intervals, beside ceilings and floors; the student's on slices too. What was not measured is listed with the reason.",
        make="assets.kinds.judging.benchmark_scores:make_benchmark_scores",
        upstream=("benchmark_sets", "generated_videos"),
        sections=("evaluation", "encoders"),
        group="evaluation",
        kinds=frozenset({"python", "mlflow", "parquet", "dvc"}),
        marker="slices.parquet",
        version="5",  # motion of large pictures in 256 pixels
        cover="cost_against_quality",
    ),
    Step(
        name="baseline_comparison",
        description="Teacher against student against floors and ceilings: a table, a plot, a contact sheet, and an mp4 with "
        "sound made by the student.",
        make="assets.kinds.judging.baseline_comparison:make_baseline_comparison",
        upstream=("benchmark_sets", "generated_videos", "benchmark_scores"),
        sections=("evaluation",),
        group="evaluation",
        kinds=frozenset({"python", "mlflow", "dvc"}),
        marker="benchmarks.json",
        version="3",  # on several benchmarks
        cover="contact_sheet",
    ),
)

PROMOTION = (
    Step(
        name="registered_model",
        description="Student and teacher as whole pipelines (safetensors, no pickle) in the MLflow registry, each a new "
        "version with alias challenger.",
        make="assets.kinds.registration.promotion:make_registered_model",
        upstream=(
            "distilled_student",
            "stage_3_checkpoint",
            "training_snapshot",
            "benchmark_sets",
            "generated_videos",
            "benchmark_scores",
        ),
        sections=("encoders", "video", "evaluation.teacher_steps", "evaluation.guidance_scale"),
        group="promotion",
        kinds=frozenset({"mlflow", "huggingface", "dvc"}),
        marker="model_version.json",
        version="3",  # says whom it was trained on
        cover="samples",
        data_version=file_version("model_version.json"),
        stands="assets.kinds.registration.registered_versions:registered_model_stands",
    ),
    Step(
        name="promoted_champion",
        description="The gate: scores of these very weights on today's benchmark, which training did not see; every threshold "
        "met, on slices too; no worse than the champion on any metric and better on the headline. Passing moves alias champion, and the old champion becomes previous; refusing says why.",
        make="assets.kinds.registration.promotion:make_promoted_champion",
        upstream=("registered_model", "benchmark_sets", "benchmark_scores"),
        sections=("gate", "evaluation"),
        group="promotion",
        kinds=frozenset({"mlflow", "dvc"}),
        marker="decision.json",
        data_version=file_version("decision.json"),
        stands="assets.kinds.registration.registered_versions:promoted_champion_stands",
    ),
)

# Outside the flow: nothing depends on them, and people start them by hand.
TOOLS = (
    Step(
        name="laptop_autoencoder",
        description="Trains the laptop profile's AutoencoderKLWan anew from its recipe (about an hour on two cores). To use "
        "the result, copy the folder over profiles/laptop/autoencoder: every cached feature is then made anew.",
        make="assets.kinds.laptop_autoencoder:make_laptop_autoencoder",
        upstream=(),
        sections=(),
        group="tools",
        kinds=frozenset({"pytorch", "deepspeed", "huggingface"}),
        marker="RECIPE.json",
        accelerated=True,
        in_dvc=False,
    ),
    Step(
        name="slim_decoder",
        description="A narrower decoder that draws what the autoencoder's own draws (APT2), with what it loses and saves on the benchmark. "
        "`omnihuman generate --decoder data/slim_decoder/vae` decodes with it.",
        make="assets.kinds.slim_decoder:make_slim_decoder",
        upstream=("training_snapshot", "benchmark_sets"),
        sections=("video", "curation.held_out_share", "encoders", *ENGINE, RECIPES["slim_decoder"].section),
        group="tools",
        kinds=frozenset({"pytorch", "deepspeed", "mlflow", "huggingface"}),
        marker="fidelity.json",
        data_version=weights_version,
        accelerated=True,
        in_dvc=False,
    ),
    Step(
        name="streaming_student",
        description="A causal student that makes a latent at a time while its sound comes in (APT2), from the distilled student, with its scores beside that "
        "one's on the benchmark. `omnihuman serve` streams with it.",
        make="assets.kinds.streaming_student:make_streaming_student",
        upstream=("training_snapshot", "benchmark_sets", "distilled_student", "stage_3_checkpoint"),
        sections=(
            "transformer",
            "video",
            "curation.held_out_share",
            *ENGINE,
            RECIPES["streaming_student"].section,
            "encoders",
        ),
        group="tools",
        kinds=frozenset({"pytorch", "deepspeed", "mlflow", "huggingface"}),
        marker=ProductRecord.FILE,
        data_version=weights_version,
        accelerated=True,
        in_dvc=False,
        cover="curves",
    ),
)

FLOW: tuple[Step, ...] = (*CURATION, *BENCHMARKS, *TRAINING, *EVALUATION, *PROMOTION)
STEPS: dict[str, Step] = {step.name: step for step in (*FLOW, *TOOLS)}
