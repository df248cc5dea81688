"""What `omnihuman doctor` asks of the machine: packages, programs, disk, permissions, ports, accelerator, launcher."""

import importlib.util
import os
import shutil
import socket
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from assets.core.addresses import DAGSTER_PORT, LOOPBACK, MLFLOW_PORT, REPORTS_PORT
from assets.core.dvc_repository import under_git
from assets.core.home import why_no_file
from assets.core.workspace import HOME_VARIABLE, Workspace
from assets.launchers.settings import LauncherError, check_mount, launcher_settings, missing
from orchestration.doctor.access_findings import access
from orchestration.doctor.finding import Finding
from orchestration.doctor.signing_findings import signing
from profiles import Profile

NEEDED_GIB = 5.0
PORTS = {"Dagster": DAGSTER_PORT, "reports": REPORTS_PORT, "MLflow": MLFLOW_PORT}
PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


def machine_findings(workspace: Workspace) -> Iterator[Finding]:
    """All of them; nothing is written but a file that is removed at once."""
    yield packages(_requirements())
    yield opencv(found.metadata["Name"] for found in distributions())
    yield permissions([workspace.root, workspace.inbox, workspace.root / "data", workspace.var])
    yield access(workspace)
    yield signing()
    yield disk(workspace.root, workspace.profile)
    yield version_control(workspace)
    for name, port in PORTS.items():
        yield free_port(name, port)
    yield accelerator(workspace.profile.engine.ranks)
    yield from room_for_trainings(workspace.profile)
    yield launcher(workspace)


def _requirements() -> list[str]:
    if PROJECT.is_file():  # newer than the metadata of an editable installation
        return tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    return [line for line in requires("omnihuman-pipeline") or [] if "extra ==" not in line]


def packages(requirements: Iterable[str]) -> Finding:
    """Every requirement, as pip writes them, is installed in a version that it allows."""
    wrong, fine = [], 0
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
        fine += 1
    if wrong:
        return Finding("packages", False, f"{', '.join(wrong)}; run `pip install -c constraints.txt -e .`")
    shown = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "diffusers", "deepspeed", "dagster", "dvc", "mlflow")
    )
    return Finding("packages", True, f"{fine} as pyproject.toml asks, among them {shown}")


def opencv(installed: Iterable[str]) -> Finding:
    """Exactly one OpenCV: a second distribution overwrites the files of the first."""
    found = sorted({name.lower().replace("_", "-") for name in installed if name} & set(OPENCV))
    if len(found) == 1:
        return Finding("OpenCV", True, found[0])
    remedy = "pip uninstall all of them, then `pip install -c constraints.txt opencv-contrib-python`"
    return Finding(
        "OpenCV", False, f"{len(found)} distributions are installed ({', '.join(found) or 'none'}); {remedy}"
    )


def disk(root: Path, profile: Profile) -> Finding:
    """Bytes, against what the profile's largest training keeps, and (where the file system counts them) entries; of a home that is not there yet,
    where it would be."""
    from assets.plan.storage import checkpoint_bytes_of_all, feature_bytes, windows_per_hour

    root = next(place for place in (root, *root.parents) if os.path.isdir(place))
    usage, entries = shutil.disk_usage(root), os.statvfs(root)
    free = usage.free / 2**30
    if entries.f_files and entries.f_favail < 10_000:
        return Finding(
            "disk",
            False,
            f"{entries.f_favail} more files fit on the disk of {root}; remove some, or move OMNIHUMAN_HOME",
        )
    checkpoints = checkpoint_bytes_of_all(profile) / 2**30
    hour = feature_bytes(profile) * windows_per_hour(profile) / 2**30
    needed = NEEDED_GIB + checkpoints
    said = f"{free:.1f} GiB free at {root}; {needed:.1f} are needed, {checkpoints:.1f} of them for a training's checkpoints, and {hour:.2f} for each hour of clips"
    remedy = "; make room, run `dvc gc -w` if old snapshots may go, or move OMNIHUMAN_HOME"
    return Finding("disk", free >= needed, said if free >= needed else said + remedy)


def permissions(folders: Iterable[Path]) -> Finding:
    """A file can be made in each folder, or where it would be."""
    refused = dict.fromkeys(refusal for refusal in map(why_no_file, folders) if refusal)
    if refused:
        return Finding(
            "permissions",
            False,
            f"no file can be made in {', '.join(refused)}; chown or chmod it for user {os.getuid()}, or name another folder by {HOME_VARIABLE}",
        )
    return Finding("permissions", True, "files can be made in the root, inbox, data and var")


def version_control(workspace: Workspace) -> Finding:
    """Git is no condition; what is not kept without it is named."""
    lost = []
    if not under_git(PROJECT.parent):
        lost.append(f"{PROJECT.parent} is not under git, so records name no commit: `git clone` the project for that")
    if not under_git(workspace.root):
        lost.append(
            f"{workspace.root} is not under git, so earlier states of dvc.lock are not kept: `git init` keeps them"
        )
    git = shutil.which("git")
    if git is None:
        lost = [
            "git is not installed, so records name no commit and no history is looked through: install it for these"
        ]
    return Finding("version control", True, "; ".join(lost) or str(git))


def free_port(name: str, port: int) -> Finding:
    """A taken port is no fault: `omnihuman ui` takes another; but people would look at the wrong page."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        taken = probe.connect_ex((LOOPBACK, port)) == 0
    message = f"{port} is in use; `omnihuman ui` will take another port and print it" if taken else f"{port} is free"
    return Finding(f"port of {name}", True, message)


def room_for_trainings(profile: Profile) -> Iterator[Finding]:
    """What `omnihuman plan` says of this machine's GPUs and the profile's largest trainings; nothing where there is no GPU. A warning is
    no fault of the machine: nothing is refused by it."""
    from training.plan.gpus import here

    cluster = here(profile.engine.ranks)
    if cluster is None:
        return
    from training.plan.warning import warning

    for section in ("stage_3", "adversarial_videos"):
        said = warning(profile, section, cluster)
        yield Finding(f"room for {section}", True, f"warning: {said}" if said else f"{cluster} hold it by plan")


def accelerator(ranks: int) -> Finding:
    """Whether torch sees the GPUs that are there, and as many as the profile has ranks."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0 and (shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists()):
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        return Finding(
            "accelerator",
            False,
            f"there is an NVIDIA driver, but torch {torch.__version__} ({built}) sees no device; install the build that fits the driver",
        )
    if count == 0:
        return Finding(
            "accelerator", True, f"none; {ranks} ranks train on the CPU, which is meant for the profile laptop"
        )
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(count))
    if ranks > count:
        return Finding(
            "accelerator",
            False,
            f"{count} devices ({names}) for {ranks} ranks; lower engine.ranks or name an engine.hostfile",
        )
    return Finding("accelerator", True, f"{count} devices: {names}; {ranks} ranks")


def launcher(workspace: Workspace) -> Finding:
    """Whether the launcher that is chosen can start: its settings, its package or program."""
    hostfile = workspace.profile.engine.hostfile
    try:
        settings = launcher_settings()
        if settings is not None:
            check_mount(workspace, settings)
            if settings.package is not None and importlib.util.find_spec(settings.package) is None:
                raise missing(settings, settings.package)
            return Finding("launcher", True, f"{settings.launcher}; the shared disk is {settings.mount}")
    except LauncherError as error:
        return Finding("launcher", False, str(error))
    if hostfile is None:
        return Finding("launcher", True, "trainings start on this machine")
    absent = [name for name in ("pdsh", "ssh") if not shutil.which(name)] + (
        [] if Path(hostfile).is_file() else [hostfile]
    )
    return Finding(
        "launcher",
        not absent,
        f"hostfile {hostfile}" + (f": not found: {', '.join(absent)}; install or write it" if absent else ""),
    )
