"""An image captioner by path: what is seen in one picture, as a sentence (BLIP, Li et al. 2022; GIT, Wang et al. 2022)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from curation.scores.pretrained import FROM_DISK, folder_version, loaded, model_folder, whole_network
from curation.weights import kept
from profiles.scores import CaptionerConfig

KEY = "curation.scores.caption.captioner.weights"
# By the `model_type` of config.json: classes of transformers itself, so that no code of a folder is run.
KINDS = {"blip": ("BlipForConditionalGeneration", "BlipProcessor"), "git": ("GitForCausalLM", "GitProcessor")}


def version(config: CaptionerConfig) -> str:
    """12 hex over weights, configuration and vocabulary.

    Raises:
        CurationError: the folder holds no weights.
    """
    return folder_version(_folder(config), (".json", ".safetensors", ".txt"))


def sentence(picture: np.ndarray, config: CaptionerConfig, device: str = "cpu") -> str:
    """What the network says of an `(H, W, 3)` uint8 RGB picture; empty where it says nothing.

    A beam search without sampling, whatever generation_config.json asks for: the same picture gives the same words.

    Raises:
        CurationError: no weights, or other ones.
    """
    import torch

    network, processor = _network(str(_folder(config)), version(config), device)
    pixels = processor(images=picture, return_tensors="pt")["pixel_values"].to(network.device)
    with torch.inference_mode():
        tokens = network.generate(
            pixel_values=pixels, do_sample=False, num_beams=config.beams, max_new_tokens=config.tokens
        )
    return " ".join(processor.batch_decode(tokens, skip_special_tokens=True)[0].split())


def _folder(config: CaptionerConfig) -> Path:
    return model_folder(config.weights, KEY, "Salesforce/blip-image-captioning-large")


@kept
def _network(path: str, device: str) -> tuple[Any, Any]:
    import transformers

    def load(folder: str) -> tuple[Any, Any]:
        kind = json.loads((Path(folder) / "config.json").read_text()).get("model_type")
        if kind not in KINDS:
            raise ValueError(f"its config.json says {kind!r}")
        network_class, processor_class = (getattr(transformers, name) for name in KINDS[kind])
        network = whole_network(network_class, folder, device)
        return network, processor_class.from_pretrained(folder, **FROM_DISK)

    return loaded(path, KEY, f"a captioner ({' or '.join(KINDS)})", load)
