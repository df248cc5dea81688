"""The comparison for people: tables in the shape of OmniHuman's Tables 1 and 2, everything else measured, and who may judge."""

from collections.abc import Mapping, Sequence

from evaluation.baselines.published import BODY, CYBERHOST, PORTRAIT, PORTRAIT_SETS, SOURCE, Table, published, unlisted
from evaluation.baselines.samples import Samples
from evaluation.baselines.sanity import Verdict
from evaluation.metrics import Score
from evaluation.metrics.registry import METRICS
from evaluation.panel import Unmeasured

Scores = Mapping[str, Mapping[str, Score]]
NOT_HERE = "as published, other harness"
ABSENT = "–"


def comparison_page(
    samples: Samples,
    scores: Scores,
    verdicts: Mapping[str, Verdict],
    published_set: str,
    unmeasured: Sequence[Unmeasured] = (),
) -> str:
    """Markdown."""
    floors = {name: verdict.floor for name, verdict in verdicts.items() if verdict.floor is not None}
    rest = [name for name in verdicts if name not in BODY]
    parts = [
        f"# Methods on {len(samples)} samples of {samples.name}",
        f"Samples {samples.digest[:12]}. Values with 95 % intervals of a bootstrap over clips. The floor is the real clips with "
        f"the worst damage of each metric's row below. ✗: not usable on these samples, see the reason there. †: read the note. "
        f'{ABSENT}: not measured here. Columns marked "{NOT_HERE}" are {SOURCE}: other samples, other preprocessing. Do not '
        "subtract across them.",
        f"## Portrait (shape of Table 1; published: {published_set})",
        methods_table(PORTRAIT, scores, floors, verdicts, PORTRAIT_SETS[published_set]),
        "## Body (shape of Table 2; published: CyberHost's set)",
        methods_table(BODY, scores, floors, verdicts, CYBERHOST),
        "## Also measured",
        methods_table(rest, scores, floors, verdicts, None),
        "## May it judge here?",
        sanity_table(verdicts),
        "## Networks and notes",
        *_notes(scores, verdicts),
        "## Not measured",
        unmeasured_table(unmeasured),
    ]
    return "\n\n".join(parts) + "\n"


def sanity_table(verdicts: Mapping[str, Verdict]) -> str:
    """Show a row per metric: ceiling, floor, the values in the order of damage, and the verdict."""
    heads = ["metric", "ceiling", "floor", "from no damage to the worst", "usable"]
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join(["---"] * len(heads)) + " |"]
    for name, verdict in verdicts.items():
        order = ", ".join(f"{damage} {value:.4g}" for damage, value in verdict.order.items())
        usable = "yes" if verdict.usable else f"no: {verdict.reason}"
        lines.append(
            f"| {METRICS[name].directed_title()} | {_interval(verdict.ceiling)} | {_interval(verdict.floor)} | {order} | {usable} |"
        )
    return "\n".join(lines)


def unmeasured_table(unmeasured: Sequence[Unmeasured]) -> str:
    """Show a row per metric that could not be had: why, and what to do."""
    rows = [f"| {METRICS[one.metric].directed_title()} | {one.reason} | {one.remedy} |" for one in unmeasured]
    return "\n".join(["| metric | why | what to do |", "| --- | --- | --- |", *rows]) if rows else "Nothing."


def methods_table(
    columns: Sequence[str],
    scores: Scores,
    floors: Mapping[str, Score],
    verdicts: Mapping[str, Verdict],
    table: Table | None,
) -> str:
    """Show a row per method, with intervals; where there are some, floors and then published methods below.

    Args:
        columns: names of metrics.
        scores: by title and metric.
        floors: by metric; where there is none, no row of floors stands.
        verdicts: by metric; one that may not judge is marked.
        table: published numbers in columns of their own, or None.
    """
    heads = ["method", *(METRICS[name].directed_title() for name in columns)]
    if table is not None:
        heads += [f"{METRICS[name].directed_title()} ({NOT_HERE})" for name in columns]
    rows = [(title, row) for title, row in scores.items()] + ([("floor", floors)] if floors else [])
    if table is not None:
        rows += [(name, {}) for name in unlisted(table, list(scores))]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for title, row in rows:
        cells = [_cell(row.get(name), verdicts.get(name)) for name in columns]
        if table is not None:
            printed = published(table, title)
            cells += [ABSENT if (v := printed.get(name)) is None else f"{v:.3f}" for name in columns]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(score: Score | None, verdict: Verdict | None) -> str:
    if score is None:
        return ABSENT
    marks = ("" if verdict is None or verdict.usable else " ✗") + (" †" if score.warning else "")
    return _interval(score) + marks


def _interval(score: Score | None) -> str:
    if score is None:
        return ABSENT
    if score.value != score.value:
        return "undefined"
    if score.ci_low != score.ci_low:
        return f"{score.value:.4g}"
    return f"{score.value:.4g} [{score.ci_low:.4g}, {score.ci_high:.4g}]"


def _notes(scores: Scores, verdicts: Mapping[str, Verdict]) -> list[str]:
    lines = [
        f"- {METRICS[name].directed_title()}: {network.architecture}, {network.sha256[:12]}, {network.protocol}"
        for name, verdict in verdicts.items()
        if (network := verdict.ceiling.network) is not None
    ]
    lines += [
        f"- † {title}, {METRICS[name].directed_title()}: {score.warning}"
        for title, row in scores.items()
        for name, score in row.items()
        if score.warning
    ]
    return ["\n".join(lines)]
