"""Who follows channels/README.md to the letter has an adapter that is found by its name and passes the suite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import orchestrator

PACKAGE = Path(orchestrator.__file__).parent
FOLDER = Path("orchestrator/channels/sms/example")


def blocks() -> dict[str, str]:
    """path -> text of the files that the README shows."""
    text = (PACKAGE / "channels" / "README.md").read_text(encoding="utf-8")
    shown = [
        textwrap.dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    ]
    return {block.partition("\n")[0].removeprefix("# "): block for block in shown}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, with what the README says added to it, and nothing else."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(PACKAGE, root / "orchestrator", ignore=shutil.ignore_patterns("__pycache__", "demo", "migrations"))
    (root / FOLDER).mkdir()
    for name, text in {**blocks(), str(FOLDER / "__init__.py"): "", str(FOLDER / "README.md"): "# example\n"}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def run(checkout: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=checkout,
        # before the installed package
        env={**os.environ, "PYTHONPATH": str(checkout), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_adapter_of_the_readme_passes_the_suite(checkout: Path) -> None:
    done = run(checkout, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "tests")
    assert 0 == done.returncode, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 25


def test_the_adapter_of_the_readme_is_found_by_its_name(checkout: Path) -> None:
    code = (
        "from pathlib import Path; import orchestrator; from orchestrator.channels.load import load_accounts; "
        "from orchestrator.settings import DispatchSettings, Settings; "
        "settings = Settings(dispatch=DispatchSettings(adapters={'sms': 'example'})); "
        "adapter = load_accounts(settings, Path())['sms'][0].adapter; "
        "print(type(adapter).__name__, orchestrator.__file__)"
    )
    done = run(checkout, "-c", code, EXAMPLE_KEY="key")
    assert f"Example {checkout / 'orchestrator' / '__init__.py'}\n" == done.stdout, done.stderr
    without = run(checkout, "-c", code)
    assert "put the secret into the variable EXAMPLE_KEY" in without.stderr


def test_the_files_of_the_readme_are_in_good_shape(checkout: Path) -> None:
    shape = run(checkout, "-m", "ruff", "format", "--check", "--line-length", "120", str(FOLDER), "tests")
    assert 0 == shape.returncode, shape.stdout
