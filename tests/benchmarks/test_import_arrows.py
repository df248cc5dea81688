"""No module reaches itself by imports, wherever in a file they stand, no folder is longer than a listing; and the count itself sees what it should."""

from pathlib import Path

import pytest

from benchmarks.import_arrows import PACKAGES, ROOT, count_arrows


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_reaches_itself_by_imports(package: str) -> None:
    assert count_arrows(ROOT, package).circles == ()


def test_no_folder_of_product_code_holds_more_than_twenty_files() -> None:
    files = {folder: len(list(folder.glob("*.py"))) for package in PACKAGES for folder in (ROOT / package).glob("**/")}
    assert {str(folder.relative_to(ROOT)): number for folder, number in files.items() if number > 20} == {}


def test_rooms_arrows_upward_ones_and_circles_are_counted(tmp_path: Path) -> None:
    for name, text in {
        "house/__init__.py": "",
        "house/attic/__init__.py": "",
        "house/attic/roof.py": "from house.cellar import door\nfrom house.cellar.door import KEY\n",
        "house/attic/window.py": "import house.cellar.door\nfrom house.attic.roof import TILE\n",
        "house/cellar/__init__.py": "",
        "house/cellar/door.py": "def open():\n    from house.attic.roof import TILE\n",
        "house/garden.py": "import json\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    counted = count_arrows(tmp_path, "house")
    assert (counted.rooms, counted.arrows, counted.upward) == (3, 2, 1)
    assert counted.circles == (("house.attic.roof", "house.cellar.door"),)
