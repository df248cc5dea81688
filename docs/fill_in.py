"""What `make docs` reads from the code into the site's pages: profile keys, commands, score columns, the interface for Python.

mkdocs calls the `on_...` functions. A page holds `<!-- filled in: NAME -->` where a function of that name is to write.
"""

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

DOCS = Path(__file__).parent
MARK = re.compile(r"<!-- filled in: (\w+) -->")
OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)]+)\)")
ELSEWHERE = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//", re.I)


class SiteError(RuntimeError):
    """A page that cannot be filled in, or one that would load something from elsewhere."""


def on_config(config: Any) -> Any:
    """Pages with a date or a number need no line of their own in the navigation."""
    for section in config["nav"]:
        for title, pages in section.items() if isinstance(section, dict) else ():
            if isinstance(pages, str) and pages.endswith("/*"):
                folder = DOCS / pages[:-2]
                section[title] = sorted((str(p.relative_to(DOCS)) for p in folder.glob("*.md")), key=_index_first)
    return config


def _index_first(path: str) -> tuple[bool, str]:
    return not path.endswith("index.md"), path


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in the marks, and name files outside of the site instead of linking them."""
    source = DOCS / page.file.src_uri

    def outside(link: re.Match) -> str:
        target = (source.parent / link[2].partition("#")[0]).resolve()
        return link[0] if target.is_relative_to(DOCS) else f"`{link[1]}`"

    return OUTSIDE.sub(outside, MARK.sub(lambda mark: _filled(mark[1]), markdown))


def on_post_build(config: Any, **_: Any) -> None:
    """No page loads anything from elsewhere.

    Raises:
        SiteError: one does.
    """
    for path in Path(config["site_dir"]).rglob("*.html"):
        if found := ELSEWHERE.search(path.read_text()):
            raise SiteError(f"{path} loads from elsewhere: {found[0]}")


def _filled(name: str) -> str:
    if name not in FILLED:
        raise SiteError(f"no function fills in {name!r}; there are {', '.join(FILLED)}")
    return "\n".join(FILLED[name]())


def profile_keys() -> Iterator[str]:
    """A section for each part of a profile: its docstring, and a table of its keys."""
    from profiles.schema import Profile

    places: dict[type[BaseModel], list[str]] = {}
    _collect(Profile, "", places)
    for model, where in places.items():
        yield f"## {' and '.join(f'`{key}`' if key else 'The whole profile' for key in where[:4])}{', ...' if len(where) > 4 else ''}"
        yield f"\n{_docstring(model)}\n"
        yield "| key | type | default |\n| --- | --- | --- |"
        for key, field in model.model_fields.items():
            yield f"| `{key}` | {_type(field)} | {_default(field)} |"
        yield ""


def _collect(model: type[BaseModel], prefix: str, places: dict[type[BaseModel], list[str]]) -> None:
    places.setdefault(model, []).append(prefix.rstrip("."))
    for key, field in model.model_fields.items():
        for inner in _models(field.annotation):
            _collect(inner, f"{prefix}{key}.", places)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _docstring(model: type[BaseModel]) -> str:
    """Its text, with the keys that it describes as a list."""
    text, _, attributes = (model.__doc__ or "").partition("Attributes:")
    lines = re.sub(r"\n +", "\n", text).strip()
    listed = re.findall(r"^ +(\w+(?:, \w+)*): (.+(?:\n {12,}.+)*)", attributes, flags=re.M)
    return lines + "".join(f"\n- `{key}`: {re.sub(chr(10) + ' +', ' ', said)}" for key, said in listed)


def _type(field: FieldInfo) -> str:
    shown = str(field.annotation) if get_args(field.annotation) else getattr(field.annotation, "__name__", "")
    shown = re.sub(r"typing\.|profiles\.\w+\.|, FieldInfo\(.*?\]\)|Annotated\[", "", shown)
    shown = shown.replace("None", "null").replace(" | ", " or ")
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    rules = [
        (sign, getattr(rule, name)) for rule in field.metadata for name, sign in signs.items() if hasattr(rule, name)
    ]
    return ", ".join([f"`{shown}`", *(f"{sign} {bound:g}" for sign, bound in rules)])


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "must be given"
    if isinstance(value, BaseModel):
        return "its own defaults"
    return "null" if value is None else f"`{value}`"


def commands() -> Iterator[str]:
    """Every command's help, as typer writes it."""
    import typer
    from typer.cli import get_docs_for_click

    from orchestration.commands.cli import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="omnihuman")
    yield re.sub(r"^# `omnihuman`\n", "", text)


def score_columns() -> Iterator[str]:
    """Each score with its columns, what it reads, and whether it is on by default."""
    from curation.scores.registry import SCORES
    from curation.tables.column_meanings import SCORES as SCORE_MEANINGS
    from profiles.scores import ScoresConfig

    yield "## All columns\n\n| score | columns | reads | on by default | version |\n| --- | --- | --- | --- | --- |"
    for score in SCORES:
        columns = ", ".join(f"`{name}` ({kind})" for name, kind in score.columns.items())
        on = "yes" if score.config(ScoresConfig()) is not None else "no"
        yield f"| {score.name} | {columns} | {', '.join(score.reads)} | {on} | {score.version} |"
    yield "\n| column | what it says |\n| --- | --- |"
    for name, meaning in SCORE_MEANINGS.items():
        yield f"| `{name}` | {meaning} |"
    yield ""


def metrics_on_trial() -> Iterator[str]:
    """Each metric that is tried on rendered people, and how it stands to the truth."""
    from evaluation.metrics.registry import METRICS
    from evaluation.trial.record import standing, tried_on

    yield f"Held on {tried_on()}.\n\n| metric | is to follow | verdict | rank r | defined on | moved most by |\n| --- | --- | --- | ---: | ---: | --- |"
    for name, kind in METRICS.items():
        if not kind.aspect:
            continue
        one = standing(name)
        r, defined, moved = (
            "–" if value != value else f"{value:{form}}"
            for value, form in ((one.rank, ".2f"), (one.coverage, ".0%"), (one.disturbance, ".0%"))
        )
        by = f"{one.disturber}, {moved} of the way" if one.disturber else "–"
        yield f"| {kind.directed_title()} (`{name}`) | {kind.aspect} | {one.verdict} | {r} | {defined} | {by} |"
    yield ""


def python() -> Iterator[str]:
    """Signature and docstring of every public name."""
    for module in ("omnihuman", "puppets", "training.distillation", "evaluation.metrics"):
        yield f"## {module}\n"
        for name in importlib.import_module(module).__all__:
            yield f"::: {module}.{name}\n"
    yield "## tracking.registry\n\n::: tracking.registry.champion_folder"


FILLED: dict[str, Callable[[], Iterator[str]]] = {
    function.__name__: function for function in (profile_keys, commands, score_columns, metrics_on_trial, python)
}
