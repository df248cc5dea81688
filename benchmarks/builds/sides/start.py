"""Runs `MODULE ARGUMENTS` of this checkout's benchmarks in the Python and on the modules of another: `python start.py MODULE ARGUMENTS`.

The other checkout is first on PYTHONPATH and has a folder `benchmarks` of its own; modules that it lacks there are found here. `benchmarks.builds`
is always this checkout's, also where the other one has a package of that name: what runs in both builds is one script.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

BUILDS = Path(__file__).resolve().parents[1]


def main(module: str) -> None:
    """Run it as `python -m` would, with the arguments that follow its name."""
    import benchmarks

    if str(BUILDS.parent) not in benchmarks.__path__:
        benchmarks.__path__.append(str(BUILDS.parent))
    _import_builds()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _import_builds() -> None:
    """Import this checkout's `benchmarks.builds`; its modules are then looked for beside it alone."""
    name = "benchmarks.builds"
    spec = importlib.util.spec_from_file_location(
        name, BUILDS / "__init__.py", submodule_search_locations=[str(BUILDS)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{BUILDS} is no package")
    sys.modules[name] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


if __name__ == "__main__":
    del sys.argv[0]
    main(sys.argv[0])
