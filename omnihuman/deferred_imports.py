"""What diffusers, transformers and accelerate import at their heads and making a video never uses, put off until it is used.

More than half of the seconds that importing them takes go into PyTorch's compiler, sympy, scipy, peft and a hundred models of others
(docs/results/2026-11-29-start-up.md). Inside `deferring()` modules of `DEFERRED` are not run: `from it import name` gives a
`DeferredName`, which becomes the real thing when it is called, subclassed or looked into. When the block ends nothing of that is left in
`sys.modules`: whoever imports these modules later gets them as they are. Packages of `LAZY` import their modules when they are asked for.
`defer_within(package)` runs each module of a package inside such a block.
"""

import ast
import functools
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

COMPILER, SHAPES = "torch._dynamo", "torch.fx.experimental.symbolic_shapes"
DEFERRED = (
    COMPILER,
    "boto3",
    "peft",
    "scipy.integrate",
    "scipy.optimize",
    "scipy.stats",
    "sympy",
    SHAPES,
    # Both import torchao, where it is installed, for weights in 8 bits.
    "diffusers.quantizers.torchao",
    "transformers.quantizers.quantizer_torchao",
)
LAZY = ("diffusers.models.autoencoders", "diffusers.models.transformers", "diffusers.models.unets")
# Decorators of the compiler that note something down about a function or class and return it.
MARKS = ("allow_in_graph", "assume_constant_result")
# Of the symbolic shapes: what PyTorch asks of every shape, and the answer where it is of plain numbers.
PLAIN: dict[str, Callable[..., bool]] = {
    "expect_true": bool,
    "guard_or_false": bool,
    "guard_or_true": bool,
    "is_nested_int": lambda value: False,
    "statically_known_true": bool,
    "sym_eq": lambda one, other: one == other,
    "sym_and": lambda *values: all(values),
    "sym_or": lambda *values: any(values),
}
# Of diffusers and accelerate: "was this compiled?", for which they import the compiler.
CHECKS = ("is_compiled_module", "has_compiled_regions")


class DeferredName:
    """A name of a module that was not run."""

    def __init__(self, module: str, name: str):
        self._of, self._name = module, name

    @functools.cached_property
    def _real(self) -> Any:
        with _undeferred():
            module = importlib.import_module(self._of)
        if not hasattr(module, self._name):
            raise ImportError(f"cannot import name {self._name!r} from {self._of!r}", name=self._of)
        return getattr(module, self._name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what inspect and typing try on anything
            raise AttributeError(name)
        return getattr(self._real, name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real,)

    def __instancecheck__(self, instance: object) -> bool:
        # Of a class whose module never ran there is no instance.
        return _ran(self._of) and isinstance(instance, self._real)

    def __subclasscheck__(self, subclass: type) -> bool:
        return _ran(self._of) and issubclass(subclass, self._real)

    def __or__(self, other: Any) -> Any:
        return Any | other  # in an annotation

    __ror__ = __or__


class _StandIn(ModuleType):
    """Takes the place of a module that is not run."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self.__name__ == COMPILER and name in MARKS:
            return functools.partial(_mark_later, name)
        if self.__name__ == COMPILER and name == "disable":
            return _disable_later
        if self.__name__ == SHAPES and name in PLAIN:
            return functools.partial(_answer_of_plain, name)
        return DeferredName(self.__name__, name)


class _LazyPackage(ModuleType):
    """A package whose `__init__` was read and not run."""

    def __init__(self, name: str, homes: dict[str, str]):
        super().__init__(name)
        self._homes = homes

    def __getattr__(self, name: str) -> Any:
        if name not in self._homes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(self._homes[name]), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._homes})


class _Finder(MetaPathFinder, Loader):
    """Finds what is installed where Python does, and makes stand-ins of `DEFERRED` and lazy packages of `LAZY`."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._made: list[_StandIn] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in LAZY and not any(_within(fullname, name) for name in self._names):
            return None
        found = PathFinder.find_spec(fullname, path)
        if found is None or (fullname in LAZY and _homes(found) is None):
            return None
        spec = ModuleSpec(fullname, self, origin=found.origin, is_package=True)
        spec.submodule_search_locations = list(found.submodule_search_locations or [])
        spec.has_location = fullname in LAZY
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if spec.name in LAZY:
            return _LazyPackage(spec.name, _homes(spec) or {})
        self._made.append(_StandIn(spec.name))
        return self._made[-1]

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run."""

    def begin(self) -> None:
        """Put off what is not there yet."""
        self._names = [name for name in DEFERRED if name not in sys.modules]

    def stop(self) -> None:
        """Put off nothing, and leave no stand-in where an import would find it."""
        self._names = []
        while self._made:
            _take_out(self._made.pop())


class _WithinFinder(MetaPathFinder):
    """Runs modules of a package inside `deferring()`."""

    def __init__(self, package: str):
        self.package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == self.package or not _within(fullname, self.package):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        spec.loader.exec_module = deferring()(spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


class _MarkingFinder(MetaPathFinder):
    """Hands the compiler what was marked before it was there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != COMPILER:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path)
        assert spec is not None and spec.loader is not None
        run = spec.loader.exec_module

        def run_and_mark(module: ModuleType) -> None:
            run(module)
            for mark, value in _marked:
                getattr(module, mark)(value)
            _marked.clear()

        spec.loader.exec_module = run_and_mark  # type: ignore[method-assign]
        return spec


_finder = _Finder()
_marked: list[tuple[str, Any]] = []


@contextmanager
def deferring() -> Iterator[None]:
    """Put off, inside the block (or in the function that it decorates), those modules of `DEFERRED` and `LAZY` that were not imported before."""
    if _finder in sys.meta_path:  # a block within one
        yield
        return
    sys.meta_path.insert(0, _finder)
    _finder.begin()
    try:
        yield
    finally:
        _finder.stop()
        sys.meta_path.remove(_finder)
        _ask_no_absent_compiler()


def defer_within(package: str) -> None:
    """Have each module of a package that is imported from now on put off what `deferring()` does, once for all calls."""
    if not any(isinstance(finder, _WithinFinder) and finder.package == package for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithinFinder(package))


@contextmanager
def _undeferred() -> Iterator[None]:
    """Nothing is put off inside it: what is imported there runs, and needs what it imports itself."""
    _finder.stop()
    try:
        yield
    finally:
        if _finder in sys.meta_path:
            _finder.begin()


def _homes(package: ModuleSpec) -> dict[str, str] | None:
    """Name to module of a package's `__init__` that does nothing but `from .module import name`; None of any other."""
    with open(str(package.origin), "rb") as file:
        statements = ast.parse(file.read()).body
    homes: dict[str, str] = {}
    while statements:
        statement = statements.pop()
        if isinstance(statement, ast.If) and not statement.orelse:
            statements += statement.body
        elif not isinstance(statement, ast.ImportFrom) or any(alias.name == "*" for alias in statement.names):
            return None
        elif statement.level == 1 and statement.module:
            homes |= {alias.name: f"{package.name}.{statement.module}" for alias in statement.names}
    return homes


def _take_out(module: ModuleType) -> None:
    name = module.__name__
    parent, _, child = name.rpartition(".")
    if sys.modules.get(name) is module:
        del sys.modules[name]
    if parent in sys.modules and vars(sys.modules[parent]).get(child) is module:
        delattr(sys.modules[parent], child)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _ran(module: str) -> bool:
    return module in sys.modules and not isinstance(sys.modules[module], _StandIn)


def _mark_later(mark: str, value: Any) -> Any:
    if not any(isinstance(finder, _MarkingFinder) for finder in sys.meta_path):
        sys.meta_path.insert(1, _MarkingFinder())  # behind the one that puts off
    _marked.append((mark, value))
    return value


def _disable_later(fn: Any = None, recursive: bool = True, **options: Any) -> Any:
    """As the compiler's `disable`, which has nothing to keep from being compiled while there is no compiler."""
    if fn is None:
        return functools.partial(_disable_later, recursive=recursive, **options)

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not _ran(COMPILER):
            return fn(*args, **kwargs)
        return sys.modules[COMPILER].disable(fn, recursive, **options)(*args, **kwargs)

    return run


def _answer_of_plain(question: str, *values: Any) -> Any:
    return PLAIN[question](*values) if _plain(values) else DeferredName(SHAPES, question)(*values)


def _plain(values: tuple[Any, ...]) -> bool:
    return all(type(value) in (bool, int) or (type(value) is tuple and _plain(value)) for value in values)


def _ask_no_absent_compiler() -> None:
    for name, module in list(sys.modules.items()):
        if _within(name, "diffusers") or _within(name, "accelerate"):
            for check in CHECKS:
                asked = vars(module).get(check)
                if asked is not None and not hasattr(asked, "__wrapped__"):
                    setattr(module, check, _if_compiler_ran(asked))


def _if_compiler_ran(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    @functools.wraps(check)
    def asked(module: Any) -> bool:
        return _ran(COMPILER) and check(module)

    return asked
