"""Two rounds of training, the first replaced by the second: every link is found again, forwards and backwards."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
from typer.testing import CliRunner

from assets.core.dvc_stages import ensure_repository
from assets.core.workspace import Workspace
from assets.kinds.signed_snapshots import sign_snapshot, statement_of, take_signature_along, verify_for_registration
from assets.past.who_saw import who_saw
from curation.errors import CurationError
from media.photographs import png_with_text
from orchestration.commands.cli import app
from orchestration.past.lineage_answers import LineageError, as_json, as_lines, look_up
from orchestration.past.lineage_page import HEIGHT, WIDTH, write_lineage_page
from profiles import load_profile
from provenance.signed_list import TamperedFiles
from provenance.signing import Statement
from tests.orchestration.rounds import CHAIN, SHARD, commit_lock, put_raw_clips, put_round
from tests.provenance.cases import flip, pictures, save_png, signed
from tracking.model_address import CHAMPION

A, B, C = "aaaaaaaaaaaa0001", "bbbbbbbbbbbb0002", "cccccccccccc0003"
OLD, NEW = "0d" * 32, "1e" * 32


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Round one on A and C, committed to git; round two on C alone stands in `data`. B is in no snapshot."""
    found = Workspace(tmp_path_factory.mktemp("lineage"), load_profile("laptop", []))
    ensure_repository(found)
    put_raw_clips(found, [A, B, C])
    put_round(found, "old", OLD, [A, C])
    commit_lock(found, "round one")
    version = put_round(found, "new", NEW, [C])
    found.registry.set_alias("omnihuman-student", CHAMPION, version)
    yield found


def names(view, keys, kind):
    """Of checkpoints the weights, of others the name."""
    nodes = [view.lineage.node(key) for key in keys if view.lineage.node(key).kind == kind]
    return sorted(node.facts["weights_digest"] if kind == "checkpoint" else node.name for node in nodes)


@pytest.mark.parametrize(("version", "round_", "digest", "clips"), [("1", "old", OLD, [A, C]), ("2", "new", NEW, [C])])
def test_each_version_leads_back_to_its_own_weights_snapshot_and_clips(workspace, version, round_, digest, clips):
    view = look_up(workspace, "model", version)
    assert names(view, view.sources, "checkpoint") == sorted(f"{round_}-{asset}" for asset in CHAIN)
    assert names(view, view.sources, "snapshot") == [digest[:12]]
    assert len(names(view, view.sources, "run")) == len(CHAIN)
    assert as_json(view)["clips"] == {f"shard:{SHARD}@{digest}": clips}
    assert all(link["certain"] for link in as_json(view)["links"]), "dvc.lock and its history prove every parent"


def test_without_the_lock_a_parent_is_known_by_name_only_and_said_to_be(workspace, tmp_path):
    bare = Workspace(tmp_path / "bare", workspace.profile)
    shutil.copytree(workspace.root, bare.root)
    shutil.rmtree(bare.root / ".git")
    view = look_up(bare, "model", "1")
    # The replaced stage 2 may go on from either stage 1 now: both are named, neither as certain.
    doubtful = [link for link in as_json(view)["links"] if not link["certain"]]
    assert {"old-stage_1_checkpoint", "new-stage_1_checkpoint"} <= set(names(view, view.sources, "checkpoint"))
    assert doubtful and all(link["to"].startswith("checkpoint:") and ":old-" in link["to"] for link in doubtful)
    assert "which weights is not recorded" in "\n".join(as_lines(view))
    assert all(link["certain"] for link in as_json(look_up(bare, "model", "2"))["links"]), "today's lock is there"


def test_a_clip_leads_forward_to_all_that_saw_it_and_nothing_else(workspace):
    both, first, none = (look_up(workspace, "clip", clip) for clip in (C, A[:9], B))
    assert names(both, both.products, "version") == ["omnihuman-student 1", "omnihuman-student 2"]
    assert names(first, first.products, "version") == ["omnihuman-student 1"]
    assert names(first, first.products, "checkpoint") == sorted(f"old-{asset}" for asset in CHAIN)
    assert len(names(first, first.products, "score")) == 2, "student and teacher of the first table"
    assert none.products == set() and "went into: nothing" in list(as_lines(none))
    assert "aaaa.mp4" in next(as_lines(first)) and "licence CC0" in next(as_lines(first))


def test_what_saw_a_clip_is_what_its_lineage_leads_to(workspace):
    saw = {exposure.name for exposure in who_saw(workspace, {A}) if exposure.kind in ("version", "snapshot")}
    assert saw == {"omnihuman-student 1", OLD[:12]}


def test_a_score_leads_back_to_the_weights_that_were_measured(workspace):
    student = look_up(workspace, "score", "distilled_student.audio.mouth_correlation")
    teacher = look_up(workspace, "score", "teacher")
    assert "audio.mouth_correlation = 0.33" in list(as_lines(student))[1]
    assert "new-distilled_student" in names(student, student.sources, "checkpoint")
    assert names(teacher, teacher.sources, "checkpoint") == sorted(f"new-{asset}" for asset in CHAIN[:3])
    assert names(student, student.sources, "snapshot") == [NEW[:12]]


@pytest.mark.parametrize(
    "name", ["champion", "omnihuman-student@champion", "models:/omnihuman-student/2", "omnihuman-student:2", ""]
)
def test_the_names_people_have_for_a_version_mean_it(workspace, name):
    assert look_up(workspace, "model", name).asked == "version:omnihuman-student:2"


def test_weights_have_names_too(workspace):
    assert look_up(workspace, "model", "stage_1_checkpoint").asked.endswith(":new-stage_1_checkpoint")
    assert look_up(workspace, "model", "old-stage_1").asked.endswith(":old-stage_1_checkpoint")


@pytest.mark.parametrize(
    ("what", "name", "message"),
    [
        ("model", "7", "no model 7; there is: omnihuman-student 1, omnihuman-student 2, "),
        ("score", "nobody", "no score nobody; there is: distilled_student, teacher"),
        ("score", "teacher.audio.beauty", "has no number audio.beauty; it has audio.mouth_correlation"),
        ("model", "new-stage_", "means 3 things"),
        ("shard", SHARD, "lineage of a score, a model, a clip or a video"),
    ],
)
def test_a_wrong_name_is_answered_with_those_that_are_there(workspace, what, name, message):
    with pytest.raises(LineageError, match=message):
        look_up(workspace, what, name)


def test_a_video_leads_to_the_clips_that_its_model_saw(workspace, tmp_path):
    """Signed, by the weights that it names; with the comment alone too, which is said; a file of nobody's is an error."""
    weights = look_up(workspace, "model", "1").lineage.node(look_up(workspace, "model", "1").asked).facts
    record = {"model": "omnihuman-student version 1", "version": 1, "weights": weights.get("weights_digest", "")}
    path = signed(save_png(tmp_path / "frame.png"), Statement(record, "AI-generated"))
    view = look_up(workspace, "video", str(path))
    assert as_json(view)["clips"] == {f"shard:{SHARD}@{OLD}": [A, C]} and "not a byte was changed" in view.notes[0]
    (tmp_path / "comment.png").write_bytes(png_with_text(pictures()[0], {"comment": json.dumps(record)}))
    view = look_up(workspace, "video", str(tmp_path / "comment.png"))
    assert as_json(view)["clips"] == {f"shard:{SHARD}@{OLD}": [A, C]} and "anybody can write" in view.notes[-2]
    with pytest.raises(LineageError, match="does not know"):
        look_up(workspace, "video", str(save_png(tmp_path / "nothing.png")))


def test_a_video_whose_models_snapshot_was_changed_is_refused_by_the_name_of_the_file(workspace, tmp_path):
    """Signed when frozen; a byte of one of its files is another now. A list of clips that somebody changed answers nothing."""
    home = Workspace(tmp_path / "home", workspace.profile)
    shutil.copytree(workspace.root, home.root)
    video = signed(save_png(tmp_path / "frame.png"), Statement({"weights": "new-distilled_student"}, "AI-generated"))
    assert "nobody signed it" in look_up(home, "video", str(video)).notes[-1]
    sign_snapshot(home)
    assert "its files are as OmniHuman" in look_up(home, "video", str(video)).notes[-1]
    verify_for_registration(home, NEW)
    flip(home.data("training_snapshot") / "samples.parquet")
    with pytest.raises(TamperedFiles, match=r"samples\.parquet is not the file that was signed"):
        look_up(home, "video", str(video))
    with pytest.raises(TamperedFiles, match=r"training_snapshot/samples\.parquet is not the file that was signed"):
        verify_for_registration(home, NEW)


def test_a_snapshot_with_another_digest_than_was_trained_on_is_refused_too(workspace, tmp_path):
    home = Workspace(tmp_path / "home", workspace.profile)
    shutil.copytree(workspace.root, home.root)
    sign_snapshot(home)
    manifest = home.data("training_snapshot") / "snapshot.json"
    manifest.write_text(manifest.read_text().replace(NEW, "2f" * 32))
    with pytest.raises(TamperedFiles, match=r"snapshot\.json is not the file that was signed"):
        verify_for_registration(home, NEW)


def test_a_snapshot_of_before_is_signed_when_a_version_is_registered(workspace, tmp_path, caplog, monkeypatch):
    home = Workspace(tmp_path / "home", workspace.profile)
    shutil.copytree(workspace.root, home.root)
    verify_for_registration(home, NEW)
    assert statement_of(home, NEW).is_file() and "not signed when it was frozen" in caplog.text
    monkeypatch.setenv("OMNIHUMAN_SIGNING", "off")
    sign_snapshot(home)
    assert not statement_of(home, NEW).exists(), "what is frozen unsigned has no list of an earlier freeze"


def test_a_list_that_lies_where_it_did_before_is_still_asked(workspace, tmp_path, monkeypatch):
    home = Workspace(tmp_path / "home", workspace.profile)
    shutil.copytree(workspace.root, home.root)
    sign_snapshot(home)
    before = home.var / "signatures" / "training_snapshot" / f"{NEW}.json"
    before.parent.mkdir(parents=True)
    statement_of(home, NEW).rename(before)
    verify_for_registration(home, NEW)
    assert not statement_of(home, NEW).exists(), "it was asked, and nothing was signed anew"
    take_signature_along(home, home.root)
    assert statement_of(home, NEW).read_bytes() == before.read_bytes()
    statement_of(home, NEW).unlink()
    flip(home.data("training_snapshot") / "samples.parquet")
    with pytest.raises(TamperedFiles, match=r"samples\.parquet is not the file that was signed"):
        verify_for_registration(home, NEW)
    monkeypatch.setenv("OMNIHUMAN_SIGNING", "off")
    sign_snapshot(home)
    assert not before.exists()


def test_an_unknown_clip_is_an_error(workspace):
    with pytest.raises(CurationError, match="no clip has the id"):
        look_up(workspace, "clip", "dddddddddddd0004")


def test_text_prints_the_chain_once(workspace):
    lines = list(as_lines(look_up(workspace, "model", "2")))
    assert lines[0].startswith("version omnihuman-student 2 @champion: weights new-distille")
    assert lines[1] == "made from" and lines[-1] == "went into: nothing"
    assert sum(f"clips {C}" in line for line in lines) == 1
    assert (
        sum(line.strip().startswith("checkpoint stage_1_checkpoint") and "(above)" not in line for line in lines) == 1
    )


def test_the_drawn_page_holds_every_box_apart_from_the_others_and_loads_nothing(workspace, tmp_path):
    page = write_lineage_page(look_up(workspace, "clip", C), tmp_path / "lineage.html").read_text()
    drawing = ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.S).group())
    svg = "{http://www.w3.org/2000/svg}"
    corners = [(float(box.get("x")), float(box.get("y"))) for box in drawing.iter(f"{svg}rect")]
    # Clip, two of shard and snapshot, twelve checkpoints, four scores, two versions; runs stand beside their checkpoint.
    assert len(corners) == 1 + 2 + 2 + 12 + 4 + 2
    for n, (x, y) in enumerate(corners):
        assert all(abs(x - ox) >= WIDTH or abs(y - oy) >= HEIGHT for ox, oy in corners[:n])
        assert 0 <= x <= float(drawing.get("width")) - WIDTH and 0 <= y <= float(drawing.get("height")) - HEIGHT
    assert not re.search(r"(src|href)=", page) and page.count("http") == 1  # the SVG namespace


def test_the_command_speaks_json(workspace, monkeypatch, tmp_path):
    monkeypatch.setenv("OMNIHUMAN_HOME", str(workspace.root))
    done = CliRunner().invoke(app, ["lineage", "model", "1", "--json", "--page", str(tmp_path / "p.html")])
    assert done.exit_code == 0 and json.loads(done.stdout)["asked"] == "version:omnihuman-student:1"
    assert (tmp_path / "p.html").is_file()
    plain = CliRunner().invoke(app, ["lineage"])
    assert plain.exit_code == 0 and "snapshot " + NEW[:12] in plain.stdout
