"""What a version says of itself survives MLflow's tags, which are all text."""

from tracking.version_origin import VersionOrigin

WHOLE = VersionOrigin("w", "f", "p", "s", "0d", ("1e", "2f"), "b", "laptop", "c0ffee-dirty", "teacher 3", 3)


def test_tags_hold_the_whole_origin():
    tags = WHOLE.tags()
    assert tags["earlier_snapshots"] == "1e 2f" and tags["teacher_version"] == "3" and len(tags) == 11
    assert VersionOrigin.from_tags(tags | {"gate": "passed"}) == WHOLE


def test_what_is_not_known_is_no_tag():
    assert VersionOrigin(weights_digest="w").tags() == {"weights_digest": "w"}
    assert VersionOrigin.from_tags({}) == VersionOrigin() and VersionOrigin().teacher_version is None
