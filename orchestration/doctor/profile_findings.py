"""What a profile names: weights, the detector, the networks of scores, and whether its models can be judged at all."""

from collections.abc import Callable, Iterator
from pathlib import Path

from assets.core.workspace import Workspace
from media.user_error import UserError
from orchestration.doctor.finding import Finding
from profiles import Profile, resolve_source


def profile_findings(workspace: Workspace) -> Iterator[Finding]:
    """In the order in which a run comes to need them; what stops a run at its end is said before it begins."""
    profile = workspace.profile
    encoders = profile.encoders
    yield _found("autoencoder", lambda: resolve_source(encoders.autoencoder))
    for number, source in enumerate(encoders.texts, start=1):
        end = "" if number == 1 else f" {number}"
        yield _found(f"text encoder{end}", lambda source=source: resolve_source(source))  # type: ignore[misc]
        yield _found(f"tokenizer{end}", lambda source=source: _tokenizer(source))  # type: ignore[misc]
    yield _found("width of text", lambda: _text_width(profile))
    yield _found("audio encoder", lambda: resolve_source(encoders.audio))
    yield _found("keypoints", lambda: _detector(profile))
    yield from _scores(profile)
    if profile.transformer.base is not None:
        yield _found("base", lambda: _base(profile))
    yield from _networks(profile)
    yield from _judged(workspace)


def _found(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except (UserError, OSError) as error:
        return Finding(name, False, str(error))


def _tokenizer(text: str) -> str:
    """Open it, for a folder without one is found out by the first caption else; a hub id is left alone."""
    from omnihuman.conditions.text import load_tokenizer, tokenizer_of

    source = tokenizer_of(resolve_source(text))
    if not Path(source).exists():
        return f"{source}: a hub id, fetched when the first caption is read"
    return f"{source} ({len(load_tokenizer(source)):,} words)"


def _text_width(profile: Profile) -> str:
    """Features of another width are refused by the first training else; a hub id is left alone."""
    from omnihuman.conditions.text import check_text_width

    sources = [resolve_source(source) for source in profile.encoders.texts]
    if absent := [source for source in sources if not Path(source).exists()]:
        return f"compared when {absent[0]} is fetched"
    return f"{check_text_width(sources, profile.transformer.text_dim)} numbers a row, as the model takes them"


def _detector(profile: Profile) -> str:
    from assets.kinds.detectors import keypoint_detector

    detector = keypoint_detector(profile)
    return f"{profile.encoders.keypoints} ({detector.name} {detector.version})"


def _scores(profile: Profile) -> Iterator[Finding]:
    """The networks of scores that name weights."""
    from curation.scores.registry import switched_on

    scores = profile.curation.scores
    for score in switched_on(scores):
        finding = _found(f"score {score.name}", lambda score=score: score.weights(score.config(scores)))  # type: ignore[misc]
        if finding.message:
            yield finding


def _base(profile: Profile) -> str:
    """Compare the base's headers with its configuration; a hub id is left alone, for looking would download it."""
    source = resolve_source(profile.transformer.base or "", or_file=True)
    if not Path(source).exists():
        return f"{source}: a hub id, fetched when training starts"
    from omnihuman.bases.registry import is_ours
    from training.stages.model import base_of, check_sizes, check_takes_videos, own_configuration

    base = base_of(profile)
    check_takes_videos(profile, "stage_1")
    if is_ours(source):
        return f"{source}: an OmniHuman model ({base.architecture}), whose conditions are trained already"
    kind = base.load()
    config = kind.open_base(source).config
    check_sizes(profile, base, config)
    published, shift = kind.revision(config), profile.evaluation.sampling.shift
    name = "a model of its own sizes" if published is None else published.name
    said = f"{name}: {kind.inspect_base(source, **own_configuration(profile))}"
    if published is not None and published.shift != shift:
        said += (
            f"; as published it is sampled with shift {published.shift:g}, and evaluation.sampling.shift is {shift:g}"
        )
    given = len(profile.encoders.texts)
    if given == kind.texts:
        return said
    return f"{said}; it was published with {kind.texts} text encoders, and {given} is named: it is given nothing of the others (encoders.text_2)"


def _networks(profile: Profile) -> Iterator[Finding]:
    """Each published network that is to look at videos, by itself: whoever fetches one is not to learn of the next one then."""
    from assets.kinds.judging.judgeable import missing_networks

    missing = missing_networks(profile)
    for name, path in profile.evaluation.networks:
        if path is not None:
            yield Finding(f"network {name}", name not in missing, missing.get(name, str(path)))


def _judged(workspace: Workspace) -> Iterator[Finding]:
    """Without benchmarks, or with a gate that nothing here can answer, a run ends before its first training: it could not be judged."""
    from assets.kinds.judging.benchmark_sets import check_benchmarks
    from assets.kinds.judging.judgeable import askable_gate

    def or_nothing_is_trained(look: Callable[[], str]) -> str:
        try:
            return look()
        except UserError as error:
            raise UserError(
                f"{error}. Nothing is trained that cannot be judged: training_snapshot and all after it stop here"
            ) from error

    test_sets = workspace.data("test_sets")
    yield _found("benchmarks", lambda: or_nothing_is_trained(lambda: check_benchmarks(workspace.profile, test_sets)))
    yield _found("gate", lambda: or_nothing_is_trained(lambda: askable_gate(workspace)))
