"""`omnihuman serve` over real HTTP against a process of its own: jobs, refusals, numbers, and what survives its death."""

import json
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


def post(address: str, folder: Path, image: str = "face.png", headers=None, **fields) -> requests.Response:
    with open(folder / image, "rb") as face, open(folder / "voice.wav", "rb") as voice:
        files = {"image": face, "audio": voice}
        return requests.post(f"{address}/v1/videos", files=files, data=fields, headers=headers, timeout=60)


def test_a_video_comes_back_with_sound_and_provenance(address, home, tmp_path):
    asked = post(address, home / "short", seed=7, prompt="A person smiles.")
    assert asked.status_code == 200, asked.text
    name = asked.json()["id"]
    assert asked.headers["location"] == f"/v1/videos/{name}"
    job = wait(address, name, {"completed", "failed"})
    assert job["status"] == "completed" and job["segments"] == job["segments_done"] == 2 and job["progress"] == 100
    assert (job["object"], job["seconds"], job["size"], job["error"]) == ("video", "1.5625", "64x64", None)
    assert job["created_at"] <= job["completed_at"] <= job["expires_at"] - 24 * 3600 + 1
    content = f"{address}/v1/videos/{name}/content"
    answer = requests.get(content, timeout=10)
    assert answer.headers["content-type"] == "video/mp4"
    asked_first = requests.head(content, timeout=10)
    assert asked_first.status_code == 200 and asked_first.content == b""
    for said in ("content-type", "content-length", "accept-ranges", "etag", "content-disposition"):
        assert asked_first.headers[said] == answer.headers[said], said
    assert int(asked_first.headers["content-length"]) == len(answer.content)
    part = {"Range": "bytes=100-199"}
    some = requests.get(content, headers=part, timeout=10)
    assert (some.status_code, some.content) == (206, answer.content[100:200])
    assert requests.head(content, headers=part, timeout=10).headers["content-length"] == "100"
    (tmp_path / "made.mp4").write_bytes(answer.content)
    assert probe_clip(tmp_path / "made.mp4").frames == 25 and len(read_audio(tmp_path / "made.mp4")) == 25_000
    said = read_provenance(tmp_path / "made.mp4")
    assert (said["seed"], said["prompt"], said["conditions"]["on"]) == (
        7,
        "A person smiles.",
        ["text", "reference", "audio"],
    )
    assert requests.delete(f"{address}/v1/videos/{name}", timeout=10).json() == {
        "id": name,
        "object": "video.deleted",
        "deleted": True,
    }
    assert requests.get(f"{address}/v1/videos/{name}", timeout=10).status_code == 404
    assert not (home / "var" / "video_jobs" / name).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image": "nobody.png"},
            r"nobody.png shows no face (detector puppet-colours, opencv-frontal-faces); give a picture of one person from the front",
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
    assert answer.status_code == 422 and message in answer.json()["error"]["message"] and str(home) not in answer.text
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
        assert answer.status_code == 413 and "larger than 2097152 bytes" in answer.json()["error"]["message"]


def test_a_full_queue_is_429_and_one_that_runs_can_be_deleted(address, home):
    names = [post(address, home / "long", steps=20, without="audio", seconds=28).json()["id"]]
    wait(address, names[0], {"in_progress"}, segments=1)
    names += [post(address, home / "short").json()["id"] for _ in range(2)]
    refused = post(address, home / "short")
    assert (
        refused.status_code == 429
        and "2 videos wait" in refused.json()["error"]["message"]
        and int(refused.headers["retry-after"]) > 0
    )
    assert requests.get(f"{address}/ready", timeout=10).status_code == 503
    assert requests.get(f"{address}/v1/videos/{names[1]}/content", timeout=10).status_code == 409
    listed = requests.get(f"{address}/v1/videos", timeout=10).json()["data"]
    assert [(job["id"], job["waiting_before"]) for job in listed[:3]] == [(names[2], 2), (names[1], 1), (names[0], 0)]
    assert 0 < listed[2]["progress"] < 100 and listed[0]["progress"] == 0
    for name in names:
        assert requests.delete(f"{address}/v1/videos/{name}", timeout=10).status_code == 200
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
        wait(url, name, {"in_progress"}, segments=2)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=300)
    unfinished = home / "var" / "video_jobs" / name / ".video.mp4.unfinished"
    kept = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("part-*.mp4")}
    assert kept
    with started(home, *serve) as (process, url):
        wait(url, name, {"in_progress"}, segments=len(kept))
        again = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("part-*.mp4")}
        assert kept.items() <= again.items()  # those were not made again
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 0
    with started(home, *serve) as (process, url):
        assert wait(url, name, {"completed", "failed"})["status"] == "completed"
        (tmp_path / "made.mp4").write_bytes(requests.get(f"{url}/v1/videos/{name}/content", timeout=10).content)
    assert probe_clip(tmp_path / "made.mp4").frames == 320 and len(read_audio(tmp_path / "made.mp4")) == 320_000


def test_strangers_are_kept_out_unless_that_is_asked_for(home, capfd):
    from assets.core.workspace import Workspace
    from serving.http.request_limits import VisitorError, check_host
    from serving.videos.server import ServerSettings, serve
    from tests.orchestration.serving import PROFILE

    with pytest.raises(VisitorError, match="--host 0.0.0.0 lets other machines in"):
        serve(Workspace(home, PROFILE), "champion", "0.0.0.0", 0, ServerSettings())
    for host in ("127.0.0.1", "::1", "localhost"):
        check_host(host, expose=False)
    check_host("0.0.0.0", expose=True)


def test_mark_and_face_check_are_the_operators_and_so_is_who_asks(address, home):
    """Harmless requests of a caller who would switch them off, and of a page of elsewhere: refused, and nothing is kept."""
    before = set((home / "var" / "video_jobs").iterdir())
    for name in ("mark", "face_check"):
        refused = post(address, home / "short", **{name: "false"})
        assert refused.status_code == 403 and f"{name}=false is not allowed here" in refused.json()["error"]["message"]
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        refused = post(address, home / "short", headers={"Origin": origin})
        assert refused.status_code == 403 and "may not ask" in refused.json()["error"]["message"]
    assert set((home / "var" / "video_jobs").iterdir()) == before
    job = post(address, home / "short", headers={"Origin": address}).json()[
        "id"
    ]  # a page of the server's own would be let in
    assert requests.delete(f"{address}/v1/videos/{job}", timeout=10).status_code == 200


@pytest.fixture
def app(home, tmp_path):
    """The server's app on a worker that makes nothing, with four clients: ada and bob for videos, each of whom may have one job waiting,
    eve for the numbers, dan for the log."""
    from types import SimpleNamespace

    from starlette.testclient import TestClient

    from serving.http.keys import Right, add_key, read_keys
    from serving.http.request_limits import Limits
    from serving.http.server_metrics import ServerMetrics
    from serving.versions.canary import CanaryRule
    from serving.versions.served_models import ServedModels
    from serving.videos.jobs import JobStore, Quota
    from serving.videos.server import ServerSettings, build_app

    file = tmp_path / "keys.yaml"
    keys = {name: add_key(file, name, frozenset({Right.VIDEOS}), waiting=1, per_hour=3) for name in ("ada", "bob")}
    keys["eve"] = add_key(file, "eve", frozenset({Right.METRICS}))
    keys["dan"] = add_key(file, "dan", frozenset({Right.LOG}))
    assert file.stat().st_mode & 0o777 == 0o600 and not any(key in file.read_text() for key in keys.values())
    store = JobStore(tmp_path / "jobs", Limits(waiting=8, per_client=2, may_drop=frozenset({"mark"})))
    models = ServedModels(SimpleNamespace(name="m", version=1), CanaryRule())
    worker = SimpleNamespace(
        models=models,
        store=store,
        ready=True,
        model=SimpleNamespace(name="m"),
        called=(),
        quota=Quota(),
        workspace=SimpleNamespace(profile=SimpleNamespace(video=SimpleNamespace(fps=16.0))),
        start=lambda: None,
        stop=lambda s: True,
        wake=lambda: None,
    )
    prepared = SimpleNamespace(
        video=SimpleNamespace(width=64, height=48, frames=32), inputs=SimpleNamespace(notes=lambda: [])
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serving.generation.prepare_video", lambda workspace, model, request: prepared)
        metrics = ServerMetrics(store, models)
        built = build_app(worker, metrics, ServerSettings(limits=store.limits, keys=read_keys(file)))
        with TestClient(built, base_url="http://127.0.0.1") as client:
            client.exposed = TestClient(build_app(worker, metrics, ServerSettings(limits=store.limits, expose=True)))  # type: ignore[attr-defined]
            client.keys, client.store, client.models = keys, store, models  # type: ignore[attr-defined]
            yield client


def ask(app, name=None, key=None):
    bearer = key or app.keys.get(name)
    return {"headers": {"Authorization": f"Bearer {bearer}"} if bearer else {}}


def test_with_keys_only_who_has_one_asks_and_sees_his_own(app):
    for stranger in (ask(app), ask(app, key="ada"), {"headers": {"Authorization": app.keys["ada"]}}):
        for refused in (app.post("/v1/videos", data={"seed": 1}, **stranger), app.get("/metrics", **stranger)):
            assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
            assert refused.json()["error"]["type"] == "authentication_error"
    assert app.get("/health").status_code == 200
    job = app.post("/v1/videos", data={"mark": "false"}, **ask(app, "ada")).json()
    place = f"/v1/videos/{job['id']}"
    assert "client" not in job and app.get(place, **ask(app, "ada")).status_code == 200
    listed = {name: app.get("/v1/videos", **ask(app, name)).json()["data"] for name in ("ada", "bob")}
    assert [one["id"] for one in listed["ada"]] == [job["id"]] and not listed["bob"]
    assert app.exposed.get("/v1/videos").status_code == 403, "behind a gateway all addresses are one"
    for refused in (
        app.get(place, **ask(app, "bob")),
        app.get(f"{place}/content", **ask(app, "bob")),
        app.delete(place, **ask(app, "bob")),
    ):
        assert refused.status_code == 404
    assert app.delete(place, **ask(app, "ada")).status_code == 200


def test_a_key_is_for_what_its_file_says(app):
    assert app.get("/metrics", **ask(app, "eve")).status_code == 200
    for refused in (
        app.post("/v1/videos", data={"seed": 1}, **ask(app, "eve")),
        app.get("/v1/videos", **ask(app, "eve")),
    ):
        assert refused.status_code == 403
        assert "the key of eve is for metrics, not for `videos`" in refused.json()["error"]["message"]
    refused = app.get("/metrics", **ask(app, "ada"))
    assert refused.status_code == 403 and "is for videos, not for `metrics`" in refused.json()["error"]["message"]


def test_health_is_for_everybody_and_the_places_of_weights_are_not(app):
    app.models.keep("/srv/models/7 is gone")
    told = app.get("/health").json()["wrong"]
    assert "a key with the right `log` reads why" in told and "/srv" not in told
    assert app.get("/health", **ask(app, "dan")).json()["wrong"] == "/srv/models/7 is gone"


def test_one_client_does_not_take_all_the_places_and_asks_no_more_than_his_key_allows(app):
    def post(name):
        answer = app.post("/v1/videos", data={"seed": 1}, **ask(app, name))
        if answer.status_code == 200:
            app.store.change(answer.json()["id"], status="completed")
        return answer

    first = app.post("/v1/videos", data={"seed": 1}, **ask(app, "ada"))
    refused = post("ada")
    assert refused.status_code == 429 and "1 of your videos wait already" in refused.json()["error"]["message"]
    app.delete(f"/v1/videos/{first.json()['id']}", **ask(app, "ada"))
    assert [post("ada").status_code for _ in range(2)] == [200, 200]
    refused = post("ada")  # three were asked for; the one that was deleted is not given back
    assert refused.status_code == 429 and "3 videos within the last hour" in refused.json()["error"]["message"]
    assert int(refused.headers["retry-after"]) > 3000
    assert post("bob").status_code == 200


def test_lists_are_read_page_by_page(app):
    made = []
    for seed in range(3):
        made.append(app.post("/v1/videos", data={"seed": seed}, **ask(app, "ada")).json()["id"])
        app.store.change(made[-1], status="completed")

    def page(**query):
        found = app.get("/v1/videos", params=query, **ask(app, "ada")).json()
        assert found["object"] == "list" and found["first_id"] == found["data"][0]["id"]
        return [made.index(one["id"]) for one in found["data"]], found["has_more"]

    assert page() == ([2, 1, 0], False) and page(order="asc", limit=2) == ([0, 1], True)
    assert page(limit=2, after=made[2]) == ([1, 0], False)
    refused = app.get("/v1/videos", params={"after": "0" * 32}, **ask(app, "ada"))
    assert refused.status_code == 404 and app.get("/v1/videos?limit=0", **ask(app, "ada")).status_code == 422


def data_url(kind, content):
    import base64

    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def test_json_and_the_names_of_other_clients_say_the_same_as_our_form(app):
    """What openai's client sends (multipart) and what vLLM-Omni's examples do (JSON in fields), against our own names."""
    picture, sound = b"a picture", b"a sound"
    names = {"model": "m", "seconds": "2", "size": "64x48", "num_inference_steps": "3", "guidance_scale": "4.5"}
    multipart = {"data": {**names, "audio_reference": json.dumps({"audio_url": data_url("audio/wav", sound)})}}
    multipart["files"] = {"input_reference": ("face.png", picture, "image/png")}
    urls = {
        "image_reference": {"image_url": data_url("image/png", picture)},
        "audio_reference": {"audio_url": data_url("audio/wav", sound)},
    }
    own = {"data": {"seconds": 2, "steps": 3, "guidance": "4.5"}, "files": {"image": picture, "audio": sound}}
    numbers = {"seconds": 2, "num_inference_steps": 3, "guidance_scale": 4.5}
    kept = []
    for form, name in ((multipart, "ada"), ({"json": {**numbers, **urls}}, "bob"), (own, "ada")):
        answer = app.post("/v1/videos", **form, **ask(app, name))
        assert answer.status_code == 200, answer.text
        job = app.store.change(answer.json()["id"], status="completed")
        files = {kind: (app.store.path(job.id) / path).read_bytes() for kind, path in job.files.items()}
        kept.append((job.settings, files))
    assert kept[0] == kept[1] == kept[2] and kept[0][1] == {"image": picture, "audio": sound}
    assert kept[0][0]["guidance"] == "4.5" and kept[0][0]["steps"] == 3


@pytest.mark.parametrize(
    ("sent", "status", "why"),
    [
        ({"json": {"image_reference": {"image_url": "https://example.com/a.png"}}}, 422, "this server fetches nothing"),
        ({"json": {"image_reference": {"image_url": "data:image/png;base64,%%"}}}, 422, "that is no base64"),
        ({"json": {"image_reference": {"file_id": "1"}}}, 422, 'write {"image_url"'),
        ({"json": ["a"]}, 422, "no JSON object"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, "the body is no JSON"),
        ({"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "send multipart/form-data"),
        ({"json": {"steps": 1, "num_inference_steps": 2}}, 422, "steps is there twice"),
        ({"json": {"model": "sora"}}, 404, "sora is not served here; m is"),
        ({"json": {"size": "720x1280"}}, 422, "720x1280 cannot be had of this picture, 64x48 can"),
        ({"files": {"control_reference": b"a"}}, 422, "no file is called that"),
    ],
)
def test_a_form_that_cannot_be_read_is_one_sentence_and_leaves_nothing(app, sent, status, why):
    headers = {**ask(app, "ada")["headers"], **sent.get("headers", {})}
    answer = app.post("/v1/videos", **{**sent, "headers": headers})
    assert answer.status_code == status and why in answer.json()["error"]["message"]
    assert not app.store.every()


def test_uploads_at_a_time_are_counted_before_they_are_read():
    import asyncio

    from serving.http.clients import Clients

    async def forever(scope, receive, send):
        await receive()

    async def begin(guard, waiting):
        answers = []

        async def send(message):
            answers.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/v1/videos", "headers": [], "client": ("10.0.0.1", 1)}
        task = asyncio.create_task(guard(scope, waiting.wait, send))
        await asyncio.sleep(0)
        return task, answers

    async def scenario():
        guard, waiting = Clients(forever, None, sending=2), asyncio.Event()
        first = [await begin(guard, waiting) for _ in range(2)]
        third, answers = await begin(guard, waiting)
        await third
        assert answers[0] == 429 and not any(task.done() for task, _ in first)
        waiting.set()
        await asyncio.gather(*(task for task, _ in first))
        again, answers = await begin(guard, waiting)
        await again
        assert not answers, "the app was asked, which answers nothing here"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        (None, 0o600, "No such file"),
        ("ada: {sha256: %s}", 0o640, "can be read by others"),
        ("ada: {sha256: short}", 0o600, "sha256: String should match"),
        ("ada: {sha256: %s, rights: [root]}", 0o600, "rights.0: Input should be"),
        ("ada: {sha256: %s, per_day: 3}", 0o600, "per_day: Extra inputs are not permitted"),
        ("a b: {sha256: %s}", 0o600, "'a b' is no name"),
        ("ada: {sha256: %s}\nbob: {sha256: %s}", 0o600, "ada, bob have the same key"),
        ("ada secret", 0o600, "not a YAML file of names"),
        ("# nobody", 0o600, "holds none"),
    ],
)
def test_a_file_of_keys_that_cannot_be_used_is_refused(tmp_path, text, mode, why):
    from serving.http.keys import read_keys
    from serving.http.request_limits import VisitorError

    file = tmp_path / "keys.yaml"
    if text is not None:
        file.write_text(text.replace("%s", "a" * 64))
        file.chmod(mode)
    with pytest.raises(VisitorError, match=why):
        read_keys(file)


def test_a_name_has_one_key(tmp_path):
    from serving.http.keys import Right, add_key
    from serving.http.request_limits import VisitorError

    add_key(tmp_path / "keys.yaml", "ada", frozenset({Right.VIDEOS}))
    with pytest.raises(VisitorError, match="has a key of ada already"):
        add_key(tmp_path / "keys.yaml", "ada", frozenset({Right.VIDEOS}))
