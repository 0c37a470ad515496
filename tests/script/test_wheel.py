"""The bridge's wheel is complete and runs by itself."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True)
    return next(folder.glob("*.whl"))


def test_link_is_in_it_once(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packed = [name for name in names if name.startswith("firmware_bridge/link/")]
    sources = (REPOSITORY / "custom_components/moat_link/link").rglob("*.py")
    assert len(set(packed)) == len(packed)
    assert {Path(name).name for name in packed} == {path.name for path in sources}
    assert "firmware_bridge/py.typed" in names


def test_it_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from firmware_bridge.link.codec import decode, encode;"
        "assert decode(encode([1, 'x'])) == [1, 'x']"
    )
    command = [sys.executable, "-I", "-c", code, str(wheel)]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
