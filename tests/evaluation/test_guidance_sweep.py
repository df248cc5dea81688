"""The sweep samples what it says it samples, from one noise, and measures the known answer."""

import numpy as np
import pytest
import torch

from evaluation.benchmark.puppet_benchmark import build_puppets, load_puppets
from evaluation.questions.guidance_sweep import as_markdown, draw, sweep_guidance
from profiles import load_profile

PROFILE = load_profile("laptop", ["evaluation.clips=3"])


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    place = tmp_path_factory.mktemp("benchmark") / "sets"
    build_puppets(place, PROFILE.evaluation, PROFILE.video)
    return load_puppets(place)


class Drawing:
    """Draws the truth without guidance; with it, darker the higher the first scale is."""

    def __init__(self, benchmark):
        self.benchmark, self.calls = benchmark, []

    def __call__(self, prompt, guidance, guidance_scale, generator, **inputs):
        rows = [self.benchmark.captions.index(p) for p in prompt]
        self.calls.append(
            (guidance, guidance_scale, [g.initial_seed() for g in generator], inputs["num_inference_steps"])
        )
        frames = self.benchmark.frames[rows].float()
        return type(
            "Made", (), {"frames": (frames * (1 if guidance is None else 1 - guidance.text_scale / 20)).to(torch.uint8)}
        )


def test_each_way_of_guiding_is_a_row_from_the_same_noise(benchmark):
    pipeline, told = Drawing(benchmark), []
    rows = sweep_guidance(
        pipeline, benchmark, 3, 5, seed=40, batch_size=2, scales=(1.0, 6.5), progress=lambda *a: told.append(a)
    )
    assert [(row.annealing, row.scale, round(row.scale_end, 6)) for row in rows] == [
        ("none", 1.0, 1.0),
        ("linear", 6.5, 3.5),
        ("cosine", 6.5, 3.5),
        ("constant", 6.5, 6.5),
    ]
    assert [seeds for *_, seeds, _ in pipeline.calls] == [[40, 41], [42]] * 4 and {
        steps for *_, steps in pipeline.calls
    } == {5}
    assert [g and (g.text_scale, g.audio_scale_end, g.annealing) for g, *_ in pipeline.calls[::2]] == [
        None,
        (6.5, 3.5, "linear"),
        (6.5, 3.5, "cosine"),
        (6.5, 6.5, "constant"),
    ]
    assert told[-1] == (4, 4, "constant 6.5")
    truth, guided = rows[0], rows[1]
    assert truth.mouth_correlation > 0.98 and truth.missing_joints < 0.01 and truth.detail == pytest.approx(1.0)
    assert guided.colour_error > truth.colour_error + 0.1 and guided.missing_joints > truth.missing_joints
    assert guided.detail == pytest.approx((1 - 6.5 / 20) ** 2, rel=0.05)


def test_text_and_audio_can_be_guided_apart(benchmark):
    pipeline = Drawing(benchmark)
    rows = sweep_guidance(pipeline, benchmark, 2, 5, seed=0, scales=(1.0, 3.0, 5.0), apart=True)
    found = [(row.annealing, row.scale, row.scale_end) for row in rows]
    assert found == [
        ("none", 1.0, 1.0),
        *((f"{what} alone", scale, scale) for what in ("text", "audio") for scale in (3.0, 5.0)),
    ]
    given = [(g.text_scale, g.audio_scale, g.annealing) for g, *_ in pipeline.calls[1:]]
    assert given == [(3.0, 1.0, "constant"), (5.0, 1.0, "constant"), (1.0, 3.0, "constant"), (1.0, 5.0, "constant")]
    assert draw(rows).startswith(b"\x89PNG")


def test_table_and_picture_hold_every_row(benchmark):
    rows = sweep_guidance(Drawing(benchmark), benchmark, 2, 5, seed=0, scales=(1.0, 3.0))
    table = as_markdown(rows).splitlines()
    assert len(table) == 2 + len(rows) and table[2].startswith("| none | 1 |") and "| 3 to 1.9 |" in table[3]
    assert draw(rows).startswith(b"\x89PNG") and np.isfinite([row.detail for row in rows]).all()
