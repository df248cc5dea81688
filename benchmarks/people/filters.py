"""What the profile `people` keeps of rendered people of each kind: `python -m benchmarks.people.filters --clips 12`.

Needs `make people-and-text`. Scores of finished seeds are kept in the file that `--table` names; started again, it goes on.
"""

import argparse
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa

from assets.core.markdown import markdown_table
from assets.questions.subset_accuracy import SEED, accuracies, score_kinds
from curation.subsets.nested_subsets import assign_subsets, parse_predicates
from curation.subsets.predicates import evaluate_all
from media import write_atomically
from profiles import Profile, load_profile
from profiles.conditions import SUBSETS


def scores(profile: Profile, clips: int, table: Path) -> pd.DataFrame:
    """Rows of `clips` seeds, every kind of each; those that the file lacks are computed and added to it."""
    held = pd.read_parquet(table) if table.is_file() else pd.DataFrame({"clip_id": []})
    for seed in range(SEED, SEED + clips):
        if not (held["clip_id"] == f"clean-{seed}").any():
            held = pd.concat([held, score_kinds(profile, seed)], ignore_index=True)
            buffer = io.BytesIO()
            held.to_parquet(buffer)
            write_atomically(table, buffer.getvalue())
    return held


def kept(scored: pd.DataFrame, profile: Profile) -> list[dict[str, str]]:
    """A row per clause and subset: the share of each kind's clips that pass it, of all its clips."""
    clauses = [clause for predicate in parse_predicates(profile.curation).values() for clause in predicate.clauses]
    passed = evaluate_all({clause: clause for clause in clauses}, pa.Table.from_pandas(scored, preserve_index=False))
    found = assign_subsets(scored, profile.curation)
    passed |= {f"**{name}**": found[name].to_numpy(bool) for name in SUBSETS}
    rows = []
    for name, holds in passed.items():
        shares = pd.Series(holds).groupby(scored["kind"].to_numpy(), sort=False).mean()
        rows.append({"passes": name} | {str(kind): f"{100 * share:.0f}" for kind, share in shares.items()})
    return rows


def main() -> None:
    """Print what is kept of each kind, and precision and recall of the subsets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="people")
    parser.add_argument("--clips", type=int, default=12, help="of each kind")
    parser.add_argument("--table", type=Path, default=Path("filters_on_rendered_people.parquet"))
    args = parser.parse_args()
    profile = load_profile(args.profile, [])
    scored = scores(profile, args.clips, args.table)
    print(markdown_table(kept(scored, profile)))
    print(markdown_table([found.row() for found in accuracies(scored, profile)]))


if __name__ == "__main__":
    main()
