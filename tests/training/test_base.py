"""Where a first stage begins: a base that is an OmniHuman model keeps what it knows of its conditions."""

import pytest
import torch

from orchestration.doctor.profile_findings import _base
from profiles import load_profile
from tests.training.synthetic import TINY
from training.errors import TrainingError
from training.stages.model import build_transformer


@pytest.fixture
def base(tmp_path):
    """The folder of a model whose new parts, zero in a new one, hold something."""
    model = build_transformer(load_profile("laptop", TINY), None, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.25)
    model.save_pretrained(tmp_path / "base")
    return tmp_path / "base", model


def test_every_weight_of_an_omnihuman_base_is_kept(base):
    folder, model = base
    profile = load_profile("laptop", [*TINY, f"transformer.base={folder}"])
    begun = build_transformer(profile, None, 1).state_dict()
    assert begun.keys() == model.state_dict().keys()
    assert all(torch.equal(begun[name], value) for name, value in model.state_dict().items())
    assert "trained already" in _base(profile)


def test_a_base_of_other_conditions_is_refused_with_both_sides(base):
    profile = load_profile("laptop", [*TINY, f"transformer.base={base[0]}", "transformer.audio_window=2"])
    with pytest.raises(TrainingError, match=r"base .*base and profile laptop disagree .*'audio_window': \(1, 2\)"):
        build_transformer(profile, None, 1)
    profile = load_profile("laptop", [*TINY, f"transformer.base={base[0]}", "transformer.ffn_dim=80"])
    with pytest.raises(
        TrainingError, match=r"disagree \(base, profile\): \{'ffn_dim': \(64, 80\)\}; set the profile's"
    ):
        build_transformer(profile, None, 1)
