"""A slim decoder for the profile's autoencoder. Outside the flow: whoever wants shorter waits makes it and asks for it."""

import json

from assets.core.steps import AssetError, Execution, Markdown, Metadata
from assets.kinds.checkpoints import describe, make_checkpoint
from assets.kinds.judging.benchmark_sets import load_benchmarks
from evaluation.questions.decoders import as_markdown, compare_decoders
from media import write_atomically
from omnihuman.autoencoder import load_autoencoder
from profiles import resolve_source

NAME = "slim_decoder"


def make_slim_decoder(execution: Execution) -> Metadata:
    """Distil it through DeepSpeed, then measure on the profile's first benchmark what it loses and saves."""
    workspace = execution.workspace
    if workspace.profile.slim_decoder is None:
        raise AssetError(
            f"profile {workspace.profile.name} has no section slim_decoder; profiles/laptop.yaml shows one"
        )
    make_checkpoint(execution)
    folder = workspace.data(NAME)
    own, slim = (
        load_autoencoder(resolve_source(workspace.profile.encoders.autoencoder)),
        load_autoencoder(folder / "vae"),
    )
    rows = compare_decoders(
        own,
        slim,
        load_benchmarks(workspace)[0],
        workspace.profile.evaluation.batch_size,
    )
    write_atomically(folder / "fidelity.json", json.dumps([vars(row) for row in rows], indent=1).encode())
    return {
        **describe(folder),
        "fidelity": Markdown(as_markdown(rows)),
        "times_as_fast": rows[0].seconds / rows[1].seconds,
        "psnr_own": float(rows[1].psnr_own or 0.0),
    }
