"""The README says what is so: its tables, its settings and its commands."""

import re
from pathlib import Path

import pytest
import typer
import yaml
from tests.conftest import ROOT

from shoal.cli import app
from shoal.config import load_settings
from shoal.report.dictionary import data_dictionary, feature_dictionary

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
YAML_BLOCKS = [text for language, text in BLOCKS if language == "yaml"]
SHELL_BLOCKS = [text for language, text in BLOCKS if language == "sh"]


def test_the_dictionary_is_the_contracts() -> None:
    start, end = "a test holds it equal -->\n", "\n<!-- end of dictionary -->"
    assert README.partition(start)[2].partition(end)[0] == data_dictionary()


def test_the_features_are_the_contracts() -> None:
    start, end = "and a test holds these equal -->\n", "\n<!-- end of features -->"
    assert README.partition(start)[2].partition(end)[0] == feature_dictionary()


def test_the_first_commands_are_the_demo_and_the_tests() -> None:
    words = [line.split("#")[0].strip() for line in SHELL_BLOCKS[0].splitlines()]
    assert words == ["make demo", "make test"]


@pytest.mark.parametrize("text", YAML_BLOCKS, ids=lambda text: text.split("\n")[0])
def test_the_configurations_shown_are_valid(text: str, tmp_path: Path) -> None:
    own = yaml.safe_load(text)
    if isinstance(own, list):  # an item of sources
        own = {"storage": {"path": "warehouse/x"}, "sources": own}
    own.pop("extends", None)
    own.setdefault("storage", {"path": "warehouse/x"})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))
    assert set(own) <= set(load_settings(tmp_path / "mine.yaml").model_fields_set)
    assert len(text.splitlines()) < 10


def test_every_command_named_exists() -> None:
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:^|`)(?:\.venv/bin/)?shoal (\w+)", README, re.MULTILINE))
    assert named
    assert named <= known
