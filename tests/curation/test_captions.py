"""Where a clip's caption comes from: its sidecar, a captioner by path (here small ones of transformers' own classes), its file
name; and what is computed anew when the captioner changes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from curation.errors import CurationError
from curation.intake.file_names import words_of
from curation.scores.caption import CAPTION
from curation.scores.captioner import sentence
from curation.scores.clip_media import Bench, Material
from profiles import ProfileError, load_profile
from profiles.scores import CaptionConfig, CaptionerConfig
from puppets import PuppetKeypoints

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a the man woman dog red blue green talks smiles sits in on car wall shirt"
VOCABULARY = WORDS.split()
DARK, LIGHT = (np.full((48, 64, 3), value, np.uint8) for value in (30, 220))


def blip(seed: int) -> torch.nn.Module:
    from transformers import BlipConfig, BlipForConditionalGeneration

    torch.manual_seed(seed)
    size = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 16,
        "initializer_range": 0.5,
    }
    words = {
        "vocab_size": len(VOCABULARY),
        "encoder_hidden_size": 32,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "pad_token_id": 0,
    }
    network = BlipForConditionalGeneration(
        BlipConfig(
            text_config={**size, **words}, vision_config={**size, "image_size": 32, "patch_size": 8}, projection_dim=16
        )
    )
    with torch.no_grad():
        network.text_decoder.cls.predictions.bias[:5] = -1e4  # of untrained networks some would say nothing but [SEP]
    return network


def git(seed: int) -> torch.nn.Module:
    from transformers import GitConfig, GitForCausalLM

    torch.manual_seed(seed)
    size = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "initializer_range": 0.5,
    }
    words = {"vocab_size": len(VOCABULARY), "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    return GitForCausalLM(GitConfig(vision_config={**size, "image_size": 32, "patch_size": 8}, **size, **words))


def written(folder: Path, network: torch.nn.Module, kind: str) -> Path:
    """A checkpoint in the layout of the published ones: weights and config.json, preprocessor_config.json, tokenizer and
    vocab.txt."""
    from transformers import BertTokenizer, BlipImageProcessorPil, CLIPImageProcessorPil

    network.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    pictures = BlipImageProcessorPil(size=size) if kind == "blip" else CLIPImageProcessorPil(size=size, crop_size=size)
    pictures.save_pretrained(folder)
    BertTokenizer(vocab={word: index for index, word in enumerate(VOCABULARY)}).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder


@pytest.fixture(scope="module")
def blip_folder(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("blip"), blip(0), "blip")


def row(**told: str) -> dict:
    """A clip's row, without a sidecar where it is not told one."""
    return {"sha256": "0" * 64, "caption": "", "caption_note": "no sidecar", "source_name": "IMG_0001.mp4", **told}


def seen(laptop, pictures: list[np.ndarray], **told: str) -> Material:
    """A clip whose pictures at the source's size are these."""
    made = Material(Bench(laptop.video, PuppetKeypoints(), (), 4), row(**told), bytes)
    made.__dict__["_decoded"] = (None, np.stack(pictures))
    return made


def captioned(material: Material, folder: Path | None = None) -> tuple:
    config = CaptionConfig(captioner=CaptionerConfig(weights=str(folder)) if folder else None)
    return tuple(CAPTION.compute(material, config).values())


@pytest.mark.parametrize(("made", "kind"), [(blip, "blip"), (git, "git")])
def test_a_captioner_says_the_same_of_the_same_picture_whatever_its_folder_asks_for(made, kind, tmp_path):
    folder = written(tmp_path / "first", made(0), kind)
    config = CaptionerConfig(weights=str(folder), tokens=12)
    dark, light = sentence(DARK, config), sentence(LIGHT, config)
    assert dark != light and set(f"{dark} {light}".split()) <= set(VOCABULARY[5:])
    sampling = Path(shutil.copytree(folder, tmp_path / "sampling"))
    wish = json.loads((sampling / "generation_config.json").read_text())
    (sampling / "generation_config.json").write_text(
        json.dumps({**wish, "do_sample": True, "temperature": 5.0, "_from_model_config": False})
    )
    again = CaptionerConfig(weights=str(sampling), tokens=12)
    assert [sentence(picture, again) for picture in (DARK, LIGHT, DARK)] == [dark, light, dark]


def test_a_checkpoint_that_is_replaced_under_its_path_is_opened_again(tmp_path):
    folder = written(tmp_path / "captioner", blip(0), "blip")
    config = CaptionerConfig(weights=str(folder), tokens=12)
    before = sentence(DARK, config)
    written(folder, blip(1), "blip")
    assert sentence(DARK, config) != before


def test_the_published_way_of_calling_blip_gives_the_same_words(blip_folder):
    from transformers import BlipForConditionalGeneration, BlipProcessor

    processor, network = (
        BlipProcessor.from_pretrained(blip_folder),
        BlipForConditionalGeneration.from_pretrained(blip_folder),
    )
    tokens = network.generate(**processor(images=DARK, return_tensors="pt"), num_beams=3, max_new_tokens=40)
    assert (
        sentence(DARK, CaptionerConfig(weights=str(blip_folder)))
        == processor.decode(tokens[0], skip_special_tokens=True)
        != ""
    )


def test_a_sidecars_caption_wins_then_the_captioner_then_the_file_name(laptop, blip_folder):
    pictures = [LIGHT, DARK, LIGHT, LIGHT]
    told = {"caption": " A man talks. ", "caption_note": "", "source_name": "a woman laughs.mp4"}
    assert captioned(seen(laptop, pictures, **told), blip_folder) == (" A man talks. ", "sidecar", "", 3.0)
    said = sentence(DARK, CaptionerConfig(weights=str(blip_folder)))
    without = {**told, "caption": " ", "caption_note": ""}
    expected = (said, "captioner", "the sidecar's caption is empty", float(len(said.split())))
    assert captioned(seen(laptop, pictures, **without), blip_folder) == expected, (
        "the second of four pictures stands for the clip"
    )
    note = "no sidecar; no captioner (curation.scores.caption.captioner)"
    assert captioned(seen(laptop, pictures, source_name="a woman laughs.mp4")) == (
        "a woman laughs",
        "file name",
        note,
        3.0,
    )
    assert captioned(seen(laptop, pictures)) == (
        "",
        "none",
        f"{note}; the file name IMG_0001.mp4 is one that devices and programs give",
        0.0,
    )


def test_a_captioner_that_says_nothing_leaves_it_to_the_file_name(laptop, tmp_path):
    network = blip(0)
    with torch.no_grad():
        network.text_decoder.cls.predictions.bias[3] = 1e4  # [SEP] at once
    folder = written(tmp_path / "silent", network, "blip")
    found = captioned(seen(laptop, [DARK], source_name="a woman laughs.mp4"), folder)
    assert found[:3] == ("a woman laughs", "file name", "no sidecar; the captioner says nothing")


def test_a_clip_with_a_caption_is_not_decoded_for_the_captioner_and_one_without_a_record_has_none(laptop, blip_folder):
    material = Material(
        Bench(laptop.video, PuppetKeypoints(), (), 4), row(caption="A man."), lambda: pytest.fail("decoded")
    )
    assert captioned(material, blip_folder)[1] == "sidecar"
    material.record = {"frames": 3}
    assert captioned(material)[:3] == (None, None, None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("man_talking.mp4", "man talking"),
        ("home/IMG_0001/man-talking-0001.mp4", "man talking"),
        ("ManTalking_v2.mov", "Man Talking"),
        ("IMG_0001_a woman laughs in a car.mp4", "a woman laughs in a car"),
        ("0a1b2c3d4e5f_woman_smiling_final.mp4", "woman smiling"),
        ("two.men.talking.1080p.x264.mkv", "two men talking"),
        ("person's face close up", "person's face close up"),
        ("Ärztin_erklärt_Röntgenbild.webm", "Ärztin erklärt Röntgenbild"),
        ("мужчина говорит.mp4", "мужчина говорит"),
        ("一个男人在说话.mp4", "一个男人在说话"),
        (r"caf\xe9 owner speaks.mp4", "caf owner speaks"),
    ],
)
def test_words_of_a_file_name(name, expected):
    assert words_of(name).caption == expected and words_of(name).reason == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "is one that devices and programs give") for name in (
            "IMG_0001.mp4", "img_1234 (2).MOV", "MVI_1234.avi", "DJI_0001_edited.mp4", "VID-20200101-WA0001.mp4", "clip (1).mp4",
            "Screen Recording 2023-01-01 at 9.00.00 AM.mov", "WhatsApp Video 2023-01-01 at 12.00.00.mp4", "final_v2_export.mp4", "Untitled.mp4",
        )),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301.mp4", "is a uuid"),
        *((name, "is a hash or a number") for name in ("d41d8cd98f00b204e9800998ecf8427e.mp4", "deadbeefcafe.mp4", "20230101.mp4")),
        *((name, "has not 2 words") for name in (
            "DSC01234.mp4", "GX010123.MP4", "PXL_20230101_120000123.TS.mp4", "00012.mp4", "03-01-06-01-02-01-12.mp4", "dQw4w9WgXcQ.mp4",
            "XkLmNoPqRst.mp4", "tvqmkl_zxgt.mp4", "interview.mp4", "a.mp4", ".mp4", r"\xff\xfe\xfa.mp4",
        )),
    ],
)  # fmt: skip
def test_names_without_words_say_why(name, reason):
    assert words_of(name).caption == "" and words_of(f"a man talks/{name}").reason == f"the file name {name} {reason}"


def test_missing_and_other_checkpoints_are_errors_that_name_the_key_and_the_remedy(blip_folder, tmp_path, laptop):
    key = r"curation\.scores\.caption\.captioner\.weights"

    def keyed(folder: Path) -> str:
        return CAPTION.weights(CaptionConfig(captioner=CaptionerConfig(weights=str(folder))))

    def broken(name: str) -> Path:
        return Path(shutil.copytree(blip_folder, tmp_path / name))

    with pytest.raises(
        CurationError,
        match=rf"{key} is .*nowhere.* no folder with config.json and safetensors; download one such as Salesforce/blip",
    ):
        keyed(tmp_path / "nowhere")
    before, folder = keyed(blip_folder), broken("vocabulary")
    assert keyed(folder) == before, "the same files elsewhere"
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY[::-1]))
    assert keyed(folder) != before
    folder = broken("truncated")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(CurationError, match=rf"{key}: .*truncated cannot be loaded as a captioner \(blip or git\)"):
        captioned(seen(laptop, [DARK]), folder)
    folder = broken("other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(CurationError, match=rf"{key}: .*its config.json says 'bert'"):
        captioned(seen(laptop, [DARK]), folder)
    folder = broken("lacking")
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if "vision_model.encoder" not in k},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(CurationError, match="does not hold .* missing: vision_model"):
        captioned(seen(laptop, [DARK]), folder)
    with pytest.raises(ProfileError, match=r"curation\.scores\.caption: .*cannot be switched off; leave the key out"):
        load_profile("laptop", ["curation.scores.caption=null"])


def test_another_captioner_computes_its_columns_alone(bench, blip_folder, tmp_path):
    put_away = pd.read_parquet(bench.shard / "clips.parquet")
    put_away.loc[0, ["caption", "caption_note"]] = "", "no sidecar"
    put_away.to_parquet(bench.shard / "clips.parquet")

    def run(folder: Path | None):
        captioner = CaptionerConfig(weights=str(folder), tokens=12) if folder else None
        report = bench.run(caption=CaptionConfig(captioner=captioner))
        return bench.table().set_index("clip_id"), {name for name, count in report.computed.items() if count}

    first, _ = run(None)
    decoded_before = bench.decoded
    assert decoded_before == len(first)
    second, computed = run(blip_folder)
    assert computed == {"caption"} and bench.detector.calls == 0 and bench.decoded == 1, (
        "only the clip without a caption is looked at"
    )
    third, computed = run(written(tmp_path / "other", blip(1), "blip"))
    assert computed == {"caption"} and (bench.decoded, bench.detector.calls) == (1, 0)
    uncaptioned = put_away["clip_id"][0]
    assert [table.loc[uncaptioned, "caption_source"] for table in (first, second, third)] == [
        "none",
        "captioner",
        "captioner",
    ]
    assert second.loc[uncaptioned, "caption"] != third.loc[uncaptioned, "caption"]
    own = [name for name in first if name.startswith("caption")]
    pd.testing.assert_frame_equal(third.drop(index=uncaptioned), first.drop(index=uncaptioned))
    pd.testing.assert_frame_equal(third.drop(columns=own), first.drop(columns=own))
    assert run(blip_folder)[1] == set(), "going back computes nothing"


def test_a_caption_that_a_sidecar_brought_later_is_not_taken_from_the_cache(bench):
    bench.run()
    clips = pd.read_parquet(bench.shard / "clips.parquet")
    clips.loc[1, "caption"] = "Somebody else."
    clips.to_parquet(bench.shard / "clips.parquet")
    report = bench.run()
    assert report.computed["caption"] == 1 and bench.scored == ["caption"] and bench.decoded == 0
    assert bench.table().set_index("clip_id").loc[clips["clip_id"][1], "caption"] == "Somebody else."
