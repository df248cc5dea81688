"""The blind page over HTTP: names nobody, shows large videos with sound, keeps votes, refuses what is none."""

import json
import shutil

import pytest
from safetensors.torch import save_file

from assets.core.workspace import Workspace
from evaluation.benchmark.puppet_benchmark import build_puppets
from evaluation.people.preference import QUESTIONS, VoteError, read_votes, votes_file
from media import probe_clip, read_audio
from profiles import load_profile
from profiles.schema import EvaluationConfig
from tests.orchestration.serving import browser_page, started

pytest.importorskip("fastapi")
testclient = pytest.importorskip("starlette.testclient")
from serving.votes_server import build_app, open_stage  # noqa: E402

VOTER = "0123456789abcdef"
NAMES = ("ground_floor", "top_floor")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """Two models whose videos are the true clips, and the same backwards."""
    import torch

    workspace = Workspace(tmp_path_factory.mktemp("home"), load_profile("laptop", []))
    benchmark = build_puppets(
        workspace.of_benchmark("benchmark_sets"), EvaluationConfig(clips=2), workspace.profile.video
    )
    for name, frames in zip(NAMES, (benchmark.frames, torch.flip(benchmark.frames, [1])), strict=True):
        meta = {"mode": "audio", "benchmark": benchmark.digest, "weights": f"weights of {name}"}
        folder = workspace.of_benchmark("generated_videos") / name / "audio"
        folder.mkdir(parents=True)
        videos = {clip: made.contiguous() for clip, made in zip(benchmark.names, frames, strict=True)}
        save_file(videos, folder / "videos-000000.safetensors")
        (folder / "meta.json").write_text(json.dumps(meta))
    return workspace


@pytest.fixture
def client(workspace):
    votes_file(workspace.root, None).unlink(missing_ok=True)
    with testclient.TestClient(build_app(open_stage(workspace, None, 2)), base_url="http://127.0.0.1") as client:
        yield client


def answers(side: str = "left") -> dict[str, str]:
    return dict.fromkeys(QUESTIONS, side)


def test_nothing_that_a_voter_gets_names_a_system_and_nothing_comes_from_elsewhere(client):
    text = client.get("/").text
    token = client.get("/pair", params={"voter": VOTER}).json()["token"]
    video, picture = client.get(f"/pairs/{token}/left.mp4").content, client.get(f"/pairs/{token}/reference.png").content
    for name in (*NAMES, "weights of"):
        assert name not in text and name.encode() not in video + picture
    assert "http" not in text.replace("https://", "http") and 'src="' not in text
    assert all(f'name="{question}"' in text for question in QUESTIONS)


def test_videos_are_large_with_their_sound_and_the_two_sides_differ(client, tmp_path):
    token = client.get("/pair", params={"voter": VOTER}).json()["token"]
    sides = []
    for side in ("left", "right"):
        answer = client.get(f"/pairs/{token}/{side}.mp4")
        assert answer.headers["content-type"] == "video/mp4"
        (tmp_path / f"{side}.mp4").write_bytes(answer.content)
        found = probe_clip(tmp_path / f"{side}.mp4")
        assert min(found.width, found.height) >= 256 and len(read_audio(tmp_path / f"{side}.mp4")) > 16_000
        sides.append(answer.content)
    assert sides[0] != sides[1]
    assert client.get(f"/pairs/{token}/reference.png").content.startswith(b"\x89PNG")


def test_votes_are_kept_until_all_pairs_are_judged(client, workspace):
    for judged in range(2):
        pair = client.get("/pair", params={"voter": VOTER}).json()
        assert (pair["judged"], pair["pairs"]) == (judged, 2) and pair["caption"]
        kept = client.post("/votes", json={"token": pair["token"], "voter": VOTER, "answers": answers("right")})
        assert kept.status_code == 201
        again = client.post("/votes", json={"token": pair["token"], "voter": VOTER, "answers": answers()})
        assert again.status_code == 422 and "already" in again.json()["detail"]
    assert client.get("/pair", params={"voter": VOTER}).json()["token"] is None
    found = read_votes(votes_file(workspace.root, None))
    assert len(found) == 2 and {vote.right.weights for vote in found} <= {f"weights of {name}" for name in NAMES}
    assert {vote.answers["identity"] for vote in found} == {"right"}


def test_hostile_requests_are_refused_and_leave_nothing(client, workspace):
    token = client.get("/pair", params={"voter": VOTER}).json()["token"]
    good = {"token": token, "voter": VOTER, "answers": answers()}
    assert client.get("/pairs/0000/left.mp4").status_code == 404
    assert client.get(f"/pairs/{token}/middle.mp4").status_code == 422
    assert client.get("/pairs/..%2f..%2fetc/left.mp4").status_code == 404
    assert client.get("/pair", params={"voter": "../x"}).status_code == 422
    for change in (
        {"token": "f" * 16},
        {"voter": "<script>"},
        {"answers": answers("up")},
        {"answers": {}},
        {"extra": 1},
    ):
        assert client.post("/votes", json=good | change).status_code == 422
    assert (
        client.post(
            "/votes", content=json.dumps(good) + " " * 9000, headers={"Content-Type": "application/json"}
        ).status_code
        == 413
    )
    assert client.post("/votes", content=json.dumps(good), headers={"Content-Type": "text/plain"}).status_code == 422
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert not votes_file(workspace.root, None).exists()


def test_nothing_to_compare_names_the_command(tmp_path, workspace):
    with pytest.raises(VoteError, match="omnihuman ablate --study stage_order"):
        open_stage(workspace, "stage_order", 2)
    folder = workspace.data("ablation_study") / "stage_order"
    folder.mkdir(parents=True)
    places = {
        "pose first": f"data/generated_videos/puppets/{NAMES[0]}/audio",
        "audio first": f"data/generated_videos/puppets/{NAMES[1]}/audio",
    }
    (folder / "videos.json").write_text(json.dumps(places))
    stage = open_stage(workspace, "stage_order", 1)
    assert {side.name for pair in stage.ballot.pairs.values() for side in (pair.left, pair.right)} == set(places)
    shutil.rmtree(folder)
    empty = Workspace(tmp_path, workspace.profile)
    shutil.copytree(workspace.data("benchmark_sets"), empty.data("benchmark_sets"))
    with pytest.raises(VoteError, match="omnihuman demo"):
        open_stage(empty, None, 1)


@pytest.mark.end_to_end
def test_a_person_judges_all_pairs_in_a_browser(workspace):
    votes_file(workspace.root, None).unlink(missing_ok=True)
    asked, failed = set(), []
    with (
        browser_page(1100, 900) as page,
        started(workspace.root, "votes", "serve", "--clips", "2", "--port", "0") as (_, address),
    ):
        page.on("request", lambda request: asked.add(request.url.split("/")[2].split(":")[0]))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(address)
        for judged in range(2):
            page.get_by_text(f"{judged} of 2 judged").wait_for()
            page.wait_for_function(
                "document.getElementById('left').readyState >= 2 && document.getElementById('right').readyState >= 2"
            )
            assert page.evaluate("document.getElementById('left').getBoundingClientRect().width") >= 256
            for question in QUESTIONS:
                page.locator(f'input[name="{question}"][value="left"]').check()
            page.get_by_role("button", name="Next pair").click()
        page.get_by_text("All pairs are judged").wait_for()
    assert len(read_votes(votes_file(workspace.root, None))) == 2
    assert asked == {"127.0.0.1"} and not failed
