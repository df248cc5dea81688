"""stubs/diffusers says of diffusers what the installed version has: names, and parameters of what is called."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

STUBS = Path(__file__).parents[2] / "stubs"
FILES = sorted(file.relative_to(STUBS) for file in STUBS.rglob("*.pyi") if file.read_text())
CALLED = (ast.FunctionDef, ast.AsyncFunctionDef)


def module_of(file: Path):
    parts = file.with_suffix("").parts
    return importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def unknown_parameters(stub: ast.FunctionDef, function) -> set[str]:
    """What the stub names and the function does not take."""
    named = {argument.arg for argument in [*stub.args.args, *stub.args.kwonlyargs]} - {"self", "cls"}
    real = inspect.signature(inspect.unwrap(function)).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in real.values())
    return set() if takes_any else named - set(real)


def test_there_are_stubs_to_check():
    assert len(FILES) >= 10


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_stub_names_only_what_diffusers_has(file):
    module, wrong = module_of(file), []
    for node in ast.parse((STUBS / file).read_text()).body:
        if isinstance(node, CALLED):
            wrong += [f"{node.name}({name})" for name in unknown_parameters(node, getattr(module, node.name))]
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            real = getattr(module, node.name)
            # `__getattr__` is how a stub says that attributes have names which only the configuration knows.
            for method in (part for part in node.body if isinstance(part, CALLED) and part.name != "__getattr__"):
                found = inspect.getattr_static(real, method.name, None)
                if found is None:
                    wrong.append(f"{node.name}.{method.name}")
                elif inspect.isfunction(getattr(real, method.name, None)) or inspect.ismethod(
                    getattr(real, method.name)
                ):
                    names = unknown_parameters(method, getattr(real, method.name))
                    wrong += [f"{node.name}.{method.name}({name})" for name in sorted(names)]
        elif isinstance(node, ast.ImportFrom):
            wrong += [name.name for name in node.names if node.level == 0 and not _has(node.module, name.name)]
    assert wrong == []


def _has(module: str | None, name: str) -> bool:
    return module is None or not module.startswith("diffusers") or hasattr(importlib.import_module(module), name)
