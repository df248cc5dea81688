"""What a profile would take on GPUs, before anything is started."""

import json
import os
import sys
from typing import Annotated

import typer

from orchestration.commands.options import SetOption

PANEL = "Data and trainings"
app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def plan(
    profile: Annotated[
        str, typer.Argument(help="laptop, people, wan2.1-1.3b, wan2.1-14b, seaweed-8b, or a .yaml path")
    ],
    gpus: Annotated[
        str, typer.Option(help="number and kind: 8xH100, 64xH200, 8xA100-80, 8xA100-40, 8xL40S, 2xRTX4090")
    ] = "8xH100",
    training: Annotated[
        list[str] | None,
        typer.Option(
            help="stage_1, consistency, adversarial_videos and so on: this training alone, at every setting; repeat for several"
        ),
    ] = None,
    mfu: Annotated[
        float,
        typer.Option(
            min=0.01, max=1.0, help="share of the GPUs' peak that is reached; published for Wan-14B are 0.18 to 0.33"
        ),
    ] = 0.3,
    hours_of_clips: Annotated[float, typer.Option(min=0.0, help="hours of clips that are encoded and stored")] = 1000.0,
    price: Annotated[
        float | None, typer.Option(min=0.0, help="dollars an hour of one GPU, instead of the table's")
    ] = None,
    per_node: Annotated[int, typer.Option(min=1, help="GPUs of one machine")] = 8,
    corpus: Annotated[
        bool,
        typer.Option(
            "--corpus", help="what curation of these hours takes instead: cores, GPUs, shards, storage, money"
        ),
    ] = False,
    cores: Annotated[int, typer.Option(min=1, help="with --corpus: cores that decode and score")] = 512,
    core_price: Annotated[float, typer.Option(min=0.0, help="with --corpus: dollars an hour of a core")] = 0.04,
    store_price: Annotated[float, typer.Option(min=0.0, help="with --corpus: dollars a month of a TB")] = 23.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="all numbers as JSON: bytes, seconds, FLOPs, dollars")
    ] = False,
    overrides: SetOption = None,
) -> None:
    """Say what a profile takes on GPUs: memory of each rank, host memory, time, storage, money.

    Nothing is started and no weight is read: the project's own networks and training code run on tensors that have a shape and no bytes, and
    what they would hold and compute is counted. For each training it says weights, gradients, optimiser, average and activations; what does not
    fit is said with the settings that would make it fit. Nothing is refused.

    Examples: omnihuman plan wan2.1-1.3b --gpus 8xH100; omnihuman plan wan2.1-14b --gpus 64xH100 --mfu 0.25;
    omnihuman plan wan2.1-1.3b --gpus 8xRTX4090 --training stage_3; omnihuman plan wan2.1-1.3b --corpus --hours-of-clips 18700
    """
    from assets.plan.plan import make_plan
    from assets.plan.tables import print_plan, print_settings
    from profiles import load_profile
    from training.plan.gpus import read_cluster
    from training.run.launch import has_gpu

    if not has_gpu():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed's warning stands above the plan
    loaded, cluster = load_profile(profile, overrides or []), read_cluster(gpus, price, per_node)
    if corpus:
        from assets.plan.corpus import plan_corpus, print_corpus

        found = plan_corpus(loaded, cluster, mfu, hours_of_clips, cores, core_price, store_price)
        print(json.dumps(found.as_dict(), indent=1)) if as_json else print_corpus(found)
        return
    sections = training or []

    def tell(what: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[Ktracing {what}", end="", file=sys.stderr, flush=True)

    made = make_plan(loaded, cluster, mfu, hours_of_clips, sections, tell)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps(made.as_dict(), indent=1))
        return
    print_plan(made)
    for section in sections:
        print_settings(loaded, section, cluster)
