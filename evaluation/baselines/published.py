"""Numbers as their authors printed them: OmniHuman-1, arXiv 2502.01061 v2, Tables 1 and 2.

They come from other harnesses, whose FID and FVD are not on the common scale, and are never to be subtracted from ours.
"""

from collections.abc import Mapping

SOURCE = "OmniHuman-1, arXiv 2502.01061 v2"
Table = Mapping[str, Mapping[str, float | None]]


def _table(columns: tuple[str, ...], rows: Mapping[str, tuple[float | None, ...]]) -> Table:
    return {method: dict(zip(columns, values, strict=True)) for method, values in rows.items()}


PORTRAIT = ("iqa", "ase", "sync_c", "fid", "fvd")
BODY = (*PORTRAIT, "hkv", "hkc")

CELEBV_HQ = _table(
    PORTRAIT,
    {
        "SadTalker": (2.953, 1.812, 3.843, 36.648, 171.848),
        "Hallo": (3.505, 2.262, 4.130, 35.961, 53.992),
        "VExpress": (2.946, 1.901, 3.547, 65.098, 117.868),
        "EchoMimic": (3.307, 2.128, 3.136, 35.373, 54.715),
        "Loopy": (3.780, 2.492, 4.849, 33.204, 49.153),
        "Hallo-3": (3.451, 2.257, 3.933, 38.481, 42.125),
        "OmniHuman": (3.875, 2.656, 5.199, 31.435, 46.393),
    },
)
RAVDESS = _table(
    PORTRAIT,
    {
        "SadTalker": (3.840, 2.277, 4.304, 32.343, 22.516),
        "Hallo": (4.393, 2.688, 4.062, 19.826, 38.471),
        "VExpress": (3.690, 2.331, 5.001, 26.736, 62.388),
        "EchoMimic": (4.504, 2.742, 3.292, 21.058, 54.115),
        "Loopy": (4.506, 2.658, 4.814, 17.017, 16.134),
        "Hallo-3": (4.006, 2.462, 4.448, 28.840, 26.029),
        "OmniHuman": (4.564, 2.815, 5.255, 16.970, 15.906),
    },
)
CYBERHOST = _table(
    BODY,
    {
        "DiffTED": (2.701, 1.703, 0.926, 95.455, 58.871, None, 0.769),
        "DiffGest + MimicMotion": (4.041, 2.897, 0.496, 58.953, 66.785, 23.409, 0.833),
        "CyberHost": (3.990, 2.884, 6.627, 32.972, 28.003, 24.733, 0.884),
        "OmniHuman": (4.142, 3.024, 7.443, 31.641, 27.031, 47.561, 0.898),
    },
)
PORTRAIT_SETS: Mapping[str, Table] = {"celebv-hq": CELEBV_HQ, "ravdess": RAVDESS}


def published(table: Table, method: str) -> Mapping[str, float | None]:
    """The row of a method, whatever capitals and hyphens its name is written with; empty where there is none."""
    return next((row for name, row in table.items() if _plain(name) == _plain(method)), {})


def unlisted(table: Table, methods: list[str]) -> list[str]:
    """The table's methods that are not among `methods`."""
    given = {_plain(method) for method in methods}
    return [name for name in table if _plain(name) not in given]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
