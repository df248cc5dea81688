"""Each YAML text is parsed once in a process, and copied for whoever reads it again.

DVC parses dvc.yaml, dvc.lock and params.yaml anew for every stage that a command names, and params.yaml once more for each status
of a stage: a checkout of fifteen stages was fifty parses of the same three texts. A parsed text is copied in a fiftieth of that time.
"""

import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any

from assets.core.names import LOCK


def read_once() -> None:
    """Have DVC, in this process, parse by `parse_text`."""
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    _dvc_parser()
    for module in (strictyaml, _yaml):
        setattr(module, "parse_yaml", parse_text)  # noqa: B010 - its type is DVC's


def parse_text(text: str, path: str, typ: str = "safe") -> Any:
    """As DVC reads YAML, which is version 1.2: 1e-08 is a number.

    Args:
        text: of the file.
        path: what an error calls it.
        typ: `safe`, or `rt`, which keeps comments and layout for who updates a file. dvc.lock has none but DVC's own, which DVC
            writes in any case, so it is read without.

    Raises:
        YAMLError: DVC's, it is no YAML.
    """
    if typ != "safe" and Path(path).name != LOCK:
        return _dvc_parser()(text, path, typ)
    return pickle.loads(_parsed(text, str(path)))


@lru_cache(maxsize=64)
def _parsed(text: str, path: str) -> bytes:
    return pickle.dumps(_dvc_parser()(text, path))


@lru_cache(maxsize=1)
def _dvc_parser() -> Any:
    """DVC's own, found before `read_once` takes its place."""
    from dvc.utils.serialize import parse_yaml

    return parse_yaml
