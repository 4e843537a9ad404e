"""The built wheel works in an empty folder, without the checkout: what a newcomer installs is whole."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTENT = ("templates", "channel_policies", "schemas")


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("orchestrator-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program folder of a fresh environment: the wheel, and the dependencies of this one, but not the checkout."""
    environment = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    # A .pth line adds the folder alone: the .pth files within it, ours of the editable install too, are not read.
    site = next((environment / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return environment / "bin"


def run(program: Path, *words: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([program, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_and_the_content_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {f"orchestrator/{name}" for name in files_below(ROOT / "orchestrator")}
    content = {f"orchestrator/_content/{part}/{name}" for part in CONTENT for name in files_below(ROOT / part)}
    tooling = {name for name in package if name.endswith(("/ruff.toml", "/pure.toml"))}
    assert (package - tooling) | content == held


def test_the_installed_command_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    assert "orchestrator 0.1.0\n" == run(installed / "orchestrator", "--version", folder=tmp_path)
    where = run(installed / "python", "-c", "import orchestrator; print(orchestrator.__file__)", folder=tmp_path)
    assert where.startswith(str(installed.parent)), "the checkout was imported instead of the wheel"


def test_init_from_the_wheel_brings_templates_policies_and_schemas(installed: Path, tmp_path: Path) -> None:
    run(installed / "orchestrator", "init", "club", folder=tmp_path)
    for part in CONTENT:
        assert files_below(ROOT / part) == files_below(tmp_path / "club" / part), part
        assert files_below(ROOT / part), f"{part}/ is empty"
