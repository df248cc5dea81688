"""Make one asset without Dagster: what the stages of dvc.yaml call."""

import argparse
import sys
import textwrap

import omnihuman  # noqa: F401 - before torch: how long its threads wait, in what is started from here too
from assets.core.catalogue import FLOW, STEPS
from assets.core.dvc_stages import ensure_repository, stages_text, write_params
from assets.core.home import check_home
from assets.core.shard_plans import bring_remote_clips, plan_new_shards
from assets.core.steps import Step
from assets.core.workspace import Workspace, open_workspace
from assets.make.execute import execute, is_current
from media import write_atomically
from media.access import keep_private
from media.user_error import exit_code

EPILOG = """\
Assets, in the order of the flow:
{assets}

  python -m assets raw_clips             plan the inbox's new files into shards and ingest them
  python -m assets clip_scores           every shard that is missing or out of date
  python -m assets clip_scores --shard s-0123456789ab
  python -m assets training_snapshot     a whole asset; made again only when something it reads changed
  dvc repro                              the whole flow through dvc.yaml

OMNIHUMAN_HOME is the root that holds inbox/, data/ and var/; OMNIHUMAN_PROFILE names the profile (laptop);
OMNIHUMAN_SET overrides keys of it: OMNIHUMAN_SET="stage_1.steps=10 demo.clean=40".
OMNIHUMAN_INBOX may be an fsspec URL (s3://bucket/clips): its new objects are brought into inbox/ first.
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and make what it names; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        workspace = open_workspace()
        if options.sync:
            return _sync(workspace)
        if options.name is None:
            parser.print_help()
            return 2
        keep_private()
        check_home(workspace)
        return _make(workspace, STEPS[options.name], options.shard, options.force)
    except Exception as error:
        return exit_code(error)


def _make(workspace: Workspace, step: Step, shard: str | None, force: bool) -> int:
    ensure_repository(workspace)
    shards: list[str | None] = [None]
    if step.sharded:
        known = workspace.shards("raw_clips")
        if step.name == "raw_clips":
            bring_remote_clips(workspace)
            known = sorted({*known, *plan_new_shards(workspace)})
        shards = [shard] if shard else list(known)
        if not shards:
            print(
                f"error: no shards; drop clips into {workspace.inbox} and run `python -m assets raw_clips`",
                file=sys.stderr,
            )
            return 1
    for one in shards:
        label = step.name if one is None else f"{step.name} {one}"
        if not force and is_current(workspace, step, one):
            print(f"{label}: up to date")
            continue
        outcome = execute(workspace, step, one)
        print(f"{label}: {outcome.seconds:.1f} s, version {outcome.data_version[:12]}")
    return 0


def _sync(workspace: Workspace) -> int:
    write_params(workspace)
    write_atomically(workspace.root / "dvc.yaml", stages_text().encode())
    print(f"wrote {workspace.root / 'dvc.yaml'} and {workspace.root / 'params.yaml'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    lines = []
    for step in FLOW:
        first = step.description.split(". ")[0].split(": ")[0]
        lines.append(textwrap.fill(f"  {step.name:<26} {first}", 110, subsequent_indent=" " * 29))
    parser = argparse.ArgumentParser(
        prog="python -m assets",
        description=__doc__,
        epilog=EPILOG.format(assets="\n".join(lines)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=list(STEPS), metavar="NAME", help="the asset")
    parser.add_argument("--shard", help="one shard of an asset that has shards")
    parser.add_argument("--force", action="store_true", help="make it again even if it is up to date")
    parser.add_argument("--sync", action="store_true", help="write dvc.yaml and params.yaml from code and profile")
    return parser


if __name__ == "__main__":
    sys.exit(main())
