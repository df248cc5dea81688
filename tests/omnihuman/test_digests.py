"""The same weights have the same digest wherever they lay before."""

import shutil

import pytest

from omnihuman import OmniHumanTransformer3DModel
from omnihuman.autoencoder import load_autoencoder
from omnihuman.digests import weights_digest
from omnihuman.pipeline import load_transformer
from profiles import load_profile, resolve_source
from training.run.product import rebuild
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=1"])


@pytest.fixture
def two_homes(tmp_path):
    """One checkpoint in two places."""
    first = tmp_path / "first" / "transformer"
    build_transformer(PROFILE, None, 0).save_pretrained(first)
    shutil.copytree(first.parent, tmp_path / "second")
    return first.parent, tmp_path / "second"


def test_a_checkpoint_made_from_the_same_parent_elsewhere_has_the_same_digest(two_homes, tmp_path):
    for number, home in enumerate(two_homes):
        model = build_transformer(PROFILE, str(home), 0)
        made = rebuild(model, model.state_dict())
        assert isinstance(made, OmniHumanTransformer3DModel)
        made.save_pretrained(tmp_path / "made" / str(number))
    one, other = (weights_digest(tmp_path / "made" / str(number)) for number in range(2))
    assert one == other == weights_digest(two_homes[0] / "transformer")


def test_no_folder_of_this_machine_stands_in_what_is_saved(two_homes, tmp_path):
    own = resolve_source(PROFILE.encoders.autoencoder)
    load_transformer(two_homes[0] / "transformer").save_pretrained(tmp_path / "again" / "transformer")
    load_autoencoder(own).save_pretrained(tmp_path / "again" / "vae")
    for part in ("transformer", "vae"):
        written = (tmp_path / "again" / part / "config.json").read_text()
        assert str(tmp_path) not in written and str(own) not in written and "_name_or_path" not in written
