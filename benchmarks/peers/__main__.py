"""`python -m benchmarks.peers [--only NAME]`: published tools beside this project, CPU seconds of one core, in turns, one table."""

import argparse
import sys
from itertools import groupby
from pathlib import Path

import numpy as np

from benchmarks.peers.cases import LEFT_OUT, Case, all_cases
from benchmarks.peers.environment import PEERS, CannotInstall, Environment, cache_folder
from benchmarks.peers.inputs import write_inputs
from benchmarks.peers.turns import Side, SideFailed, Turns, own_side, take_turns

HEAD = "| what | peer | ours, CPU s | peer's, CPU s | peer / ours | do they agree |\n| --- | --- | ---: | ---: | --- | --- |"


def main() -> None:
    """Install what is missing, make what both sides are given, and print a row a comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PEERS, help="one peer")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where environment and inputs are kept")
    parser.add_argument("--rounds", type=int, help="turns of each side, instead of each row's own number")
    options = parser.parse_args()
    environment, inputs = Environment(options.cache), options.cache / "inputs"
    write_inputs(inputs)
    print(HEAD)
    for peer, cases in groupby(all_cases(inputs), lambda case: case.peer):
        if options.only in (None, peer):
            print_rows(list(cases), environment, inputs, options.rounds)
    for peer, left_out in LEFT_OUT.items():
        if options.only in (None, peer):
            print(f"\nNot compared of {PEERS[peer].name}: {left_out}.")


def print_rows(cases: list[Case], environment: Environment, inputs: Path, rounds: int | None) -> None:
    """The rows of one peer, whose processes serve all of them."""
    first = cases[0]
    try:
        environment.install(first.peer)
    except CannotInstall as error:
        for case in cases:
            print(row(case, f"cannot be installed: {error}"), flush=True)
        return
    apart = environment.apart(first.peer)
    beside = (str(apart),) if apart.exists() else ()
    with own_side(first.ours, inputs) as ours, Side(str(environment.python), first.theirs, inputs, beside) as theirs:
        for case in cases:
            try:
                print(row(case, take_turns(ours, theirs, case.case, rounds or case.rounds)), flush=True)
            except SideFailed as error:
                print(row(case, f"cannot be run: {error}"), flush=True)


def row(case: Case, turns: Turns | str) -> str:
    """A line of the table: medians, and of the ratio the middle half too."""
    peer = PEERS[case.peer]
    head = f"| {case.what} | {peer.name} {peer.version} |"
    if isinstance(turns, str):
        return f"{head} | | | {turns.replace('|', '/')} |"
    lower, middle, upper = np.percentile(turns.ratios, (25, 50, 75))
    agreement = case.agreement(turns.our_find, turns.their_find)
    seconds = " | ".join(f"{np.median(side):.3g}" for side in (turns.ours, turns.theirs))
    return f"{head} {seconds} | **{middle:.2f}** ({lower:.2f} to {upper:.2f}) | {agreement} |"


if __name__ == "__main__":
    sys.exit(main())
