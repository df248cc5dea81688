"""Small networks with random weights in the layouts in which the real ones are published: what loads these loads those."""

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel, Wav2Vec2Config, Wav2Vec2Model

WORDS = [
    "<pad>",
    "</s>",
    "<unk>",
    *["a", "man", "woman", "person", "with", "in", "front", "of", "talks", "black", "hair", "shirt", "smiling", "calm"],
]
TEXT, SOUND = 32, 16  # widths of the text and the speech encoder


def wan_folder(folder: Path) -> Path:
    """A diffusers folder of Wan2.1-T2V: transformer, vae, text_encoder and tokenizer; three layers, two heads of 24."""
    torch.manual_seed(0)
    WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=24, text_dim=TEXT, ffn_dim=64, num_layers=3
    ).save_pretrained(folder / "transformer")
    AutoencoderKLWan(
        base_dim=8, dim_mult=[1, 1, 1, 1], num_res_blocks=1, z_dim=16, temperal_downsample=[False, True, True]
    ).save_pretrained(folder / "vae")
    words = UMT5Config(vocab_size=len(WORDS), d_model=TEXT, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    UMT5EncoderModel(words).save_pretrained(folder / "text_encoder")
    spelling = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    spelling.pre_tokenizer = pre_tokenizers.Whitespace()
    spelling.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=spelling, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder / "tokenizer")
    return folder


def wav2vec2_folder(folder: Path) -> Path:
    """wav2vec 2.0 of two layers."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=SOUND, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(16,) * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    Wav2Vec2Model(config).save_pretrained(folder)
    return folder


def syncnet_file(path: Path) -> Path:
    """SyncNet v2 at its own size."""
    from curation.scores.person.syncnet.network import SyncNet

    torch.manual_seed(0)
    torch.save(SyncNet().state_dict(), path)
    return path


def inception_file(path: Path) -> Path:
    """FID's Inception at its own size: no counters of batches. He's scale keeps signals alive."""
    from evaluation.networks.inception import InceptionV3

    torch.manual_seed(0)
    model = InceptionV3()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    torch.save({k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}, path)
    return path
