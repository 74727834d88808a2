"""What a wheel holds."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_folder_with_code_or_configs_is_a_package_of_the_wheel() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = setup["options"]["packages"].split()
    assert named == sorted(set(named))
    code = {path.parent.relative_to(ROOT) for path in (ROOT / "hybrid_trainer").rglob("*.py")}
    conf = {Path("hybrid_trainer") / path.parent.relative_to(ROOT) for path in (ROOT / "conf").rglob("*.yaml")}
    assert set(named) == {".".join(folder.parts) for folder in code | conf}
    data = {name for name, files in setup["options.package_data"].items() if files == "*.yaml"}
    assert data == {".".join(folder.parts) for folder in conf}
