"""The card on a registered version's page in MLflow: what it is and was trained on, what it scored, what the gate said, how to load it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from assets.core.markdown import markdown_table
from assets.core.names import STUDENT, TEACHER
from assets.core.workspace import Workspace
from evaluation.benchmark.cost import without_costs
from evaluation.scoring.gate import Decision
from media.records import ProductRecord, SnapshotRecord, TrainedOnRecord
from profiles.conditions import SUBSETS
from training.run.adapter import FOLDER

GATE = "\n\n## Gate\n"
LENGTH = 5000  # of a description in MLflow's store
DIGITS = 12
CONSENTS, WORDS = 6, 60  # rows of the card; all are in trained_on.json. Letters of one sidecar's words
# Of the models themselves, on their pages in the registry.
ABOUT = {
    STUDENT: "The one-step student: caption, reference picture, sound and pose in, a video of a talking person out. Alias `champion` is what "
    "`omnihuman generate`, page and server use; `challenger` is the last one registered, `previous` what `omnihuman rollback` goes back to. "
    "The gate moves `champion` (asset promoted_champion, `omnihuman promote VERSION`): a move by the buttons here goes past it, and is told.",
    TEACHER: "The teacher that a student of the same alias was distilled from: many steps, with guidance. Its aliases follow the student's.",
}


def model_card(
    workspace: Workspace,
    name: str,
    version: int,
    record: ProductRecord,
    scores: pd.DataFrame,
    sheet: str,
    video: str,
    clips: TrainedOnRecord,
) -> str:
    """Markdown, before the gate has spoken.

    Args:
        workspace: whose snapshot it was trained on.
        name: of the registered model.
        version: of it.
        record: of the checkpoint.
        scores: its own rows of the score table.
        sheet, video: files of the version that show what it makes.
        clips: whom what it was trained on shows.
    """
    snapshot = SnapshotRecord.read(workspace.data("training_snapshot"))
    counts = ", ".join(f"{snapshot.counts[kind]} {kind}" for kind in SUBSETS)
    lines = [
        # The list of versions shows how a description begins: words, not a picture's address.
        f"Asset `{record.name}`, profile `{workspace.profile.name}`, {record.parameters:,} parameters, {record.steps} steps.\n",
        samples(name, version, sheet, video),
        f"\n## Load\nIn the home's folder, or with `MLFLOW_TRACKING_URI` naming this server:\n```python\n{load_snippet(name, version)}```",
        "\n## Trained on",
        f"Trained on {clips}. Snapshot `{snapshot.digest[:DIGITS]}`: {snapshot.counts['clips']} clips in {len(snapshot.shards)} shards; samples: {counts}.",
        *([f"Goes on from {record.continued_from}."] if record.continued_from is not None else []),
        *_consents(clips),
        *(_of_adapter(record.adapter) if record.adapter is not None else []),
        "\n## Scores\n" + markdown_table(_rows(scores)),
        *[f"Sampled in {note}." for note in dict.fromkeys(scores.get("sampling", [])) if note],
    ]
    return "\n".join(lines)


def _consents(clips: TrainedOnRecord) -> list[str]:
    """What the sidecars of its clips say of consent and licence."""
    rows = [
        {name: str(row[name] or "(not said)")[:WORDS] for name in ("consent", "licence")} | {"clips": row["clips"]}
        for row in clips.consents
    ]
    if not rows:
        return []
    more = [f"And {len(rows) - CONSENTS} more; all are in `{clips.FILE}`."] if len(rows) > CONSENTS else []
    return ["\nConsent and licence, as the sidecars of its clips say:\n", markdown_table(rows[:CONSENTS]), *more]


def _of_adapter(adapter: Mapping[str, Any]) -> list[str]:
    digest = f" (`{adapter['base_digest'][:DIGITS]}`)" if adapter["base_digest"] else ""
    return [
        "\n## As an adapter",
        f"LoRA of rank {adapter['rank']} and alpha {adapter['alpha']:g} on {adapter['modules']} matrices of `{adapter['base']}`{digest}, merged into the transformer. "
        f"Beside it in `{FOLDER}/`: the updates of the base's matrices, which `load_lora_weights` of diffusers' own pipeline of that base reads, and OmniHuman's own weights.",
    ]


def load_snippet(name: str, version: int) -> str:
    """Python that loads a version as it stands."""
    return (
        "from assets.core.workspace import open_workspace\n"
        "from omnihuman import OmniHumanPipeline\n\n"
        f'folder = open_workspace().registry.folder("{name}", {version})\n'
        "pipe = OmniHumanPipeline.from_pretrained(folder)\n"
    )


def samples(name: str, version: int, sheet: str, video: str) -> str:
    """Markdown that shows a version's own `sheet` and leads to its `video`, on whichever MLflow server shows it."""
    picture, film = (
        "model-versions/get-artifact?" + urlencode({"path": file, "name": name, "version": version})
        for file in (sheet, video)
    )
    return f"![what it makes of held-out clips, below the truth]({picture})\n\n[With sound]({film})"


def _rows(scores: pd.DataFrame) -> list[dict[str, Any]]:
    quality = without_costs(scores[scores["value"].notna()])
    return [
        {"benchmark": row.benchmark, "driven by": row.mode, "metric": row.metric, "value": f"{row.value:.4g}", "of samples": f"{row.coverage:.0%}"}
        for row in quality.itertuples()
    ]  # fmt: skip


def with_verdict(card: str, decision: Decision) -> str:
    """The card with what the gate said last, in place of what it said before."""
    said = "Passed." if decision.promote else "Refused."
    rows = [{"check": check.name, "passed": check.passed, "message": check.message} for check in decision.checks]
    return f"{card.partition(GATE)[0]}{GATE}{said}\n\n{markdown_table(rows)}"[:LENGTH]
