"""What of adversarial post-training matters: the recipe with one thing changed at a time, as data, and their table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evaluation.plan import AUDIO, POSE, SECOND_SEED
from evaluation.score import score_of

FULL = "full"
IMAGES, VIDEOS = "adversarial_images", "adversarial_videos"


@dataclass(frozen=True)
class Variant:
    """One row of the study.

    Attributes:
        name: of its folder.
        title: for people.
        claim: what the paper says of it.
        overrides: keys of the profile, `key.path=value`.
    """

    name: str
    title: str
    claim: str
    overrides: tuple[str, ...] = ()


def _both(*settings: str) -> tuple[str, ...]:
    return tuple(f"{phase}.{setting}" for phase in (IMAGES, VIDEOS) for setting in settings)


VARIANTS = (
    Variant(FULL, "full recipe", "the profile's own"),
    Variant("no_consistency", "no consistency initialisation", "collapses (APT section 4.2)", (f"{IMAGES}.generator_from=diffusion",)),
    Variant("no_r1", "no R1", "loss of D goes to 0, coloured plates (APT section 4.3)", _both("penalty_weight=0.0")),
    Variant("last_head", "last-layer head only", "wrong proportions (APT section 5.3)", _both("heads=last")),
    Variant("shift_1", "s = 1 for videos", "videos need s = 12 (APT section 4.3)", (f"{VIDEOS}.timestep_shift=1.0",)),
    Variant("distilled_critic", "discriminator from distilled weights", "worse than from diffusion weights (APT section 4.3)", _both("discriminator_from=distilled")),
    Variant("relativistic", "relativistic loss, R1 and R2, ten times lambda", "trains at small batches (APT2 section 3.3)", _both("objective=relativistic", "penalty_weight=30.0")),
)

# Column of the table -> metric and mode of the score table.
SCORES = {
    "mouth_r": ("mouth_correlation", AUDIO),
    "missing_joints_audio": ("missing_joints", AUDIO),
    "joints_px_pose": ("joint_error_median", POSE),
    "missing_joints_pose": ("missing_joints", POSE),
    "colour_error": ("colour_error", AUDIO),
    "joint_diversity_px": ("joint_diversity", SECOND_SEED),
    "latent_frechet": ("latent_frechet", AUDIO),
    "latent_frechet_arms": ("latent_frechet_arms", AUDIO),
}


def ablation_row(variant: str, seed: int | None, model: str, scores: pd.DataFrame, curve: pd.DataFrame | None) -> dict[str, Any]:
    """One trained variant as a row: its scores under `model`'s rows, and the last quarter of its discriminator's curve."""
    row: dict[str, Any] = {"variant": variant, "seed": seed, "status": "scored"}
    row |= {column: score_of(scores, model, mode, metric) for column, (metric, mode) in SCORES.items()}
    if curve is not None:
        tail = curve[curve["step"] >= 0.75 * curve["step"].max()]
        row |= {f"last_{name}": float(tail[name].mean()) for name in ("discriminator_loss", "logit_gap", "r1")}
    return row


def ablation_markdown(table: pd.DataFrame, variants: Sequence[Variant], command: str, commit: str) -> str:
    """The table for people: mean over seeds with the smallest and largest, the difference from the full recipe's mean."""
    columns = [c for c in table.columns if c not in ("variant", "seed", "status")]
    full = table[table["variant"] == FULL][columns].mean()
    lines = [
        "# Ablation of adversarial post-training", "", f"`{command}` at commit {commit}. Mean over seeds (smallest to largest; difference from the full recipe).",
        "", "| variant | paper | seeds | " + " | ".join(columns) + " |", "| --- | --- | --- |" + " ---: |" * len(columns),
    ]
    titles = {v.name: (v.title, v.claim) for v in variants}
    for name, rows in table.groupby("variant", sort=False):
        title, claim = titles.get(str(name), (str(name), ""))
        scored = rows[rows["status"] == "scored"]
        seeds = ", ".join("-" if pd.isna(seed) else str(int(seed)) for seed in scored["seed"])
        failed = "; ".join(f"seed {int(r.seed)}: {r.status}" for r in rows[rows["status"] != "scored"].itertuples())
        cells = [_cell(scored[column], None if name == FULL else full[column]) for column in columns]
        lines.append(f"| {title} | {claim} | {seeds}{failed and f' ({failed})'} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: pd.Series, full: float | None) -> str:
    values = values.dropna()
    if values.empty:
        return "–"
    text = f"{values.mean():.3f}"
    if len(values) > 1:
        text += f" ({values.min():.3f} to {values.max():.3f})"
    return text if full is None or pd.isna(full) else f"{text}; {values.mean() - full:+.3f}"
