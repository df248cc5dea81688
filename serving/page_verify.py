"""The page's drop-zone: did we make this file, and is it as we made it?"""

import html
from pathlib import Path

import gradio as gr

from provenance.outcomes import WORDS
from provenance.settings import ProvenanceError
from provenance.verify import verify_files


def add_drop_zone() -> None:
    """A place for a file, and below it what each layer says of it; the beginning of a film is looked at, and nothing is kept."""
    with gr.Accordion("Did we make this file?", open=False, elem_id="verify"):
        file = gr.File(label="mp4 or PNG", file_count="single", type="filepath", height=120, elem_id="verify-file")
        answer = gr.Markdown("Drop a file: what it says of itself appears here.", elem_id="verify-answer")
        file.upload(in_words, file, answer, api_visibility="private")


def in_words(path: str) -> str:
    """Markdown: the outcome, then each layer; the file goes by no name, which is the visitor's and not ours.

    Raises:
        gr.Error: the operator's certificates cannot be read.
    """
    try:
        verdict = verify_files([Path(path)])[0]
    except (ProvenanceError, OSError) as error:
        raise gr.Error("this page cannot look at files at present; its operator's log says why") from error
    lines = [f"**{WORDS[verdict.outcome]}**", *(f"{layer.layer}: {layer.told}" for layer in verdict.layers)]
    return "\n\n".join(html.escape(line.replace(path, "it"), quote=False).replace("_", "\\_") for line in lines)
