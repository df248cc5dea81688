"""`omnihuman serve` over real HTTP against a process of its own: jobs, refusals, numbers, and what survives its death."""

import signal
import time
from pathlib import Path

import pytest
import requests

from media import probe_clip, read_audio
from omnihuman.exports import read_provenance
from tests.orchestration.serving import save_inputs, save_model, started, wait

pytest.importorskip("python_multipart")
pytest.importorskip("prometheus_client")

LIMITS = ("--longest", "30", "--upload-mib", "2", "--waiting", "2")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("home")
    save_model(place / "model")
    save_inputs(place / "short")
    save_inputs(place / "long", seconds=28.0)
    return place


@pytest.fixture(scope="module")
def address(home):
    with started(home, "serve", "--model", str(home / "model"), "--port", "0", *LIMITS) as (_, url):
        yield url


def post(address: str, folder: Path, image: str = "face.png", **fields) -> requests.Response:
    with open(folder / image, "rb") as face, open(folder / "voice.wav", "rb") as voice:
        return requests.post(f"{address}/v1/videos", files={"image": face, "audio": voice}, data=fields, timeout=60)


def test_a_video_comes_back_with_sound_and_provenance(address, home, tmp_path):
    asked = post(address, home / "short", seed=7, prompt="A person smiles.")
    assert asked.status_code == 202, asked.text
    name = asked.json()["id"]
    assert asked.headers["location"] == f"/v1/videos/{name}"
    job = wait(address, name, {"done", "failed"})
    assert job["status"] == "done" and job["segments"] == job["segments_done"] == 2
    answer = requests.get(address + job["links"]["video"], timeout=10)
    assert answer.headers["content-type"] == "video/mp4"
    asked_first = requests.head(address + job["links"]["video"], timeout=10)
    assert asked_first.status_code == 200 and asked_first.content == b""
    for said in ("content-type", "content-length", "accept-ranges", "etag", "content-disposition"):
        assert asked_first.headers[said] == answer.headers[said], said
    assert int(asked_first.headers["content-length"]) == len(answer.content)
    part = {"Range": "bytes=100-199"}
    some = requests.get(address + job["links"]["video"], headers=part, timeout=10)
    assert (some.status_code, some.content) == (206, answer.content[100:200])
    assert requests.head(address + job["links"]["video"], headers=part, timeout=10).headers["content-length"] == "100"
    (tmp_path / "made.mp4").write_bytes(answer.content)
    assert probe_clip(tmp_path / "made.mp4").frames == 25 and len(read_audio(tmp_path / "made.mp4")) == 25_000
    said = read_provenance(tmp_path / "made.mp4")
    assert (said["seed"], said["prompt"], said["conditions"]["on"]) == (
        7,
        "A person smiles.",
        ["text", "reference", "audio"],
    )
    assert requests.delete(f"{address}/v1/videos/{name}", timeout=10).status_code == 204
    assert requests.get(f"{address}/v1/videos/{name}", timeout=10).status_code == 404
    assert not (home / "var" / "video_jobs" / name).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image": "nobody.png"},
            r"nobody.png shows no face (detector puppet-colours); give a picture of one person from the front, or pass face_check=false",
        ),
        ({"seconds": 31}, "longer than 30 s"),
        ({"seconds": -1}, "seconds: Input should be greater than 0"),
        ({"seconds": "nan"}, "seconds: Input should be"),
        ({"guidance": "strong"}, "write a scale"),
        ({"guidance": "6.5"}, "one-step student samples without guidance"),
        ({"activate": "pose"}, "pose was not given"),
        ({"colour": "blue"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_made_is_refused_at_once_and_leaves_nothing(address, home, change, message):
    answer = post(address, home / "short", **change)
    assert answer.status_code == 422 and message in answer.json()["detail"] and str(home) not in answer.text
    assert not any((home / "var" / "video_jobs").glob(".tmp-*"))


def test_a_request_without_any_condition_says_what_to_give(address):
    answer = requests.post(f"{address}/v1/videos", data={"prompt": " "}, files={"pose": ("", b"")}, timeout=10)
    assert answer.status_code == 422


def test_too_large_a_request_is_413(address, home):
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    for body in (head + b"0" * 3 * 2**20, iter([head, *[b"0" * 2**20] * 3])):  # of a declared length, and in chunks
        answer = requests.post(
            f"{address}/v1/videos", data=body, headers={"Content-Type": "multipart/form-data; boundary=x"}, timeout=10
        )
        assert answer.status_code == 413 and "larger than 2097152 bytes" in answer.json()["detail"]


def test_a_full_queue_is_429_and_one_that_runs_can_be_deleted(address, home):
    names = [post(address, home / "long", steps=20, without="audio", seconds=28).json()["id"]]
    wait(address, names[0], {"running"}, segments=1)
    names += [post(address, home / "short").json()["id"] for _ in range(2)]
    refused = post(address, home / "short")
    assert (
        refused.status_code == 429
        and "2 videos wait" in refused.json()["detail"]
        and int(refused.headers["retry-after"]) > 0
    )
    assert requests.get(f"{address}/ready", timeout=10).status_code == 503
    assert requests.get(f"{address}/v1/videos/{names[1]}/video.mp4", timeout=10).status_code == 409
    for name in names:
        assert requests.delete(f"{address}/v1/videos/{name}", timeout=10).status_code == 204
    for _ in range(600):
        if not any((home / "var" / "video_jobs" / name).exists() for name in names):
            break
        time.sleep(0.1)
    assert not any((home / "var" / "video_jobs" / name).exists() for name in names)
    assert requests.get(f"{address}/ready", timeout=10).json() == {"ready": True, "reason": ""}


def test_health_metrics_and_strange_names(address, home):
    assert requests.get(f"{address}/health", timeout=10).json()["status"] == "ok"
    assert [
        requests.head(f"{address}/{name}", timeout=10).status_code for name in ("health", "ready", "v1/videos/0")
    ] == [
        200,
        200,
        404,
    ]
    text = requests.get(f"{address}/metrics", timeout=10).text
    assert (
        'omnihuman_requests_total{method="GET",route="/health",status="200"}' in text
        and "omnihuman_jobs_waiting 0.0" in text
    )
    for name in ("../../job", "0" * 32, "%2e%2e"):
        assert requests.get(f"{address}/v1/videos/{name}", timeout=10).status_code == 404
    assert requests.get(f"{address}/health", headers={"Host": "evil.example"}, timeout=10).status_code == 400


@pytest.mark.end_to_end
def test_a_job_outlives_kill_9_and_goes_on_at_its_last_segment(home, tmp_path):
    serve = ("serve", "--model", str(home / "model"), "--port", "0")
    with started(home, *serve) as (process, url):
        name = post(url, home / "long", seconds=20, steps=2).json()["id"]
        wait(url, name, {"running"}, segments=2)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    unfinished = home / "var" / "video_jobs" / name / ".video.mp4.unfinished"
    kept = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("part-*.mp4")}
    assert kept
    with started(home, *serve) as (process, url):
        wait(url, name, {"running"}, segments=len(kept))
        again = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("part-*.mp4")}
        assert kept.items() <= again.items()  # those were not made again
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    with started(home, *serve) as (process, url):
        assert wait(url, name, {"done", "failed"})["status"] == "done"
        (tmp_path / "made.mp4").write_bytes(requests.get(f"{url}/v1/videos/{name}/video.mp4", timeout=10).content)
    assert probe_clip(tmp_path / "made.mp4").frames == 320 and len(read_audio(tmp_path / "made.mp4")) == 320_000


def test_strangers_are_kept_out_unless_that_is_asked_for(home, capfd):
    from assets.core.workspace import Workspace
    from serving.request_limits import Limits, VisitorError, check_host
    from serving.video_server import serve
    from tests.orchestration.serving import PROFILE

    with pytest.raises(VisitorError, match="--host 0.0.0.0 lets other machines in"):
        serve(Workspace(home, PROFILE), "champion", "0.0.0.0", 0, Limits())
    for host in ("127.0.0.1", "::1", "localhost"):
        check_host(host, expose=False)
    check_host("0.0.0.0", expose=True)
