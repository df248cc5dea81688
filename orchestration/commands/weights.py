"""Files of Wan weights that other tools write: what they are, and the same weights for another tool."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

PANEL = "Weights"
app = typer.Typer()
group = typer.Typer(
    help="Say what a file of Wan weights is, and write it as another tool reads it.", no_args_is_help=True
)
app.add_typer(group, name="weights", rich_help_panel=PANEL)

FileArgument = Annotated[Path, typer.Argument(help="a .safetensors file, or a folder of a transformer or of peft's")]


@group.command("inspect")
def inspect_weights(
    file: FileArgument, as_json: Annotated[bool, typer.Option("--json", help="as JSON, all keys named")] = False
) -> None:
    """Say what a file is: transformer or LoRA, whose keys, of which model, rank and alpha, kinds of numbers, scales, and what is missing.

    Headers alone are read. Exit code 1: something is missing or is not Wan's.

    Example: omnihuman weights inspect my_lora.safetensors
    """
    from omnihuman.wan.dialects.files import inspect_file

    report = inspect_file(file)
    print(json.dumps(report.as_dict(), indent=1) if as_json else report)
    raise typer.Exit(0 if report.whole else 1)


@group.command("convert")
def convert_weights(
    file: FileArgument,
    dialect: Annotated[
        str,
        typer.Option(
            "--to",
            help="a transformer: diffusers, original (Wan's own), comfy; a LoRA: diffusers, peft, kohya, original",
        ),
    ],
    output: Annotated[Path, typer.Option(help="a new .safetensors file, or a new folder")],
    alpha: Annotated[
        float | None, typer.Option(help="of a LoRA whose file does not say it; the update is alpha / rank times")
    ] = None,
) -> None:
    """Write the same weights under the names that another tool reads. No number changes, and what has no name there is refused by its key.

    Examples: omnihuman weights convert kohya_lora.safetensors --to diffusers --output lora.safetensors;
    omnihuman weights convert Wan2.1-T2V-1.3B --to diffusers --output wan-diffusers
    """
    from omnihuman.wan.dialects.files import convert_file

    def tell(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{done / 2**30:.2f} GiB", end="", file=sys.stderr, flush=True)

    written = convert_file(file, dialect, output, alpha, tell)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    for path in written:
        print(path)
