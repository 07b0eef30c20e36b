"""Configuration: layers, overrides, and every fault at once."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shoal.config import (
    config_hash,
    load_settings,
    mask_arguments,
    resolved_json,
    runtime_hash,
    validate,
)
from shoal.errors import ConfigError

BASE = {"storage": {"path": "warehouse"}}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_layers_merge_deeply_and_lists_replace(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "storage: {path: a}\nentities: [host, user]\nfit: {n_init: 2}\n")
    top = write(tmp_path, "top.yaml", "extends: base.yaml\nentities: [host]\nfit: {tol: 0.5}\n")
    settings = load_settings(top, ["fit.n_components=3", "storage.path=b"])
    assert settings.entities == ["host"]
    assert (settings.fit.n_init, settings.fit.tol, settings.fit.n_components) == (2, 0.5, 3)
    assert settings.storage.path == "b"


def test_every_fault_is_listed_with_near_misses() -> None:
    raw = {
        "storage": {"path": "x", "shema": "y"},
        "fit": {"n_componets": 3, "n_init": "a"},
        "sources": [{"name": "a", "kind": "zeek", "paths": ["x"], "patern": "*"}],
        "home_networks": ["10.0.0.1/8"],
        "sites": [{"name": "here", "timezone": "Europe/Berln"}],
    }
    with pytest.raises(ConfigError) as caught:
        validate(raw, origin="test.yaml")
    message = str(caught.value)
    assert message.startswith("configuration test.yaml: 6 faults")
    for expected in (
        "storage.shema: unknown key; did you mean 'schema'?",
        "fit.n_componets: unknown key; did you mean 'n_components'?",
        "fit.n_init: Input should be a valid integer, got 'a'",
        "sources.0.zeek.patern: unknown key; did you mean 'pattern'?",
        "10.0.0.1/8 has host bits set",
        "'Europe/Berln' is not a time zone",
    ):
        assert expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", "must hold a mapping"),
        ("a: [1\n", "is not YAML"),
        ("extends: self.yaml\n", "extends goes in a circle"),
        ("storage: {path: '${env:SHOAL_NOT_SET}'}\n", "SHOAL_NOT_SET is not set"),
        ("storage: {}\n", "set either path, or schema"),
    ],
)
def test_unusable_files_say_why(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, "self.yaml", text)
    with pytest.raises(ConfigError, match=expected):
        load_settings(path)


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, "local.yaml", "")
    with pytest.raises(ConfigError, match=r"did you mean 'local.yaml'"):
        load_settings(tmp_path / "locl.yaml")


@pytest.mark.parametrize("override", ["fit", "=3", "a..b=1", "a=[1"])
def test_overrides_must_be_key_and_value(tmp_path: Path, override: str) -> None:
    path = write(tmp_path, "a.yaml", "storage: {path: a}\n")
    with pytest.raises(ConfigError, match="--set"):
        load_settings(path, [override])


def test_hashes_tell_meaning_from_runtime() -> None:
    plain = validate(BASE, origin="a")
    elsewhere = validate({"storage": {"path": "other"}, "log": {"level": "DEBUG"}}, origin="b")
    stricter = validate({**BASE, "outliers": {"capacity": 5}}, origin="c")
    assert config_hash(plain) == config_hash(elsewhere) != config_hash(stricter)
    assert runtime_hash(plain) != runtime_hash(elsewhere)
    assert runtime_hash(plain) == runtime_hash(stricter)


def test_where_the_files_lie_is_not_meaning() -> None:
    here = [{"name": "a", "kind": "zeek", "paths": ["x"]}]
    there = [{"name": "a", "kind": "zeek", "paths": ["y"], "pattern": "*.gz"}]
    other = [{"name": "b", "kind": "zeek", "paths": ["x"]}]
    first, second, third = (
        config_hash(validate({**BASE, "sources": s}, origin="t")) for s in (here, there, other)
    )
    assert first == second != third


def test_the_order_of_types_and_networks_is_not_meaning() -> None:
    first, second = (
        validate({**BASE, "entities": types, "home_networks": networks}, origin="t")
        for types, networks in (
            (["host", "user"], ["10.0.0.0/8", "fc00::/7"]),
            (["user", "host"], ["fc00::/7", "10.0.0.0/8"]),
        )
    )
    assert config_hash(first) == config_hash(second)


def test_secrets_among_arguments_are_masked() -> None:
    arguments = ["nightly", "--set", "spark.conf={fs.s3a.secret.key: hush}", "--date=2024-01-01"]
    masked = mask_arguments(arguments)
    assert "hush" not in " ".join(masked)
    assert masked[-1] == "--date=2024-01-01"


def test_secrets_are_masked_in_what_is_stored() -> None:
    conf = {"spark.hadoop.fs.s3a.secret.key": "hush", "spark.x": "1"}
    text = resolved_json(validate({**BASE, "spark": {"conf": conf}}, origin="t"))
    assert "hush" not in text
    assert '"spark.x": "1"' in text


def test_a_ready_table_may_not_pose_as_a_built_in_type() -> None:
    source = {
        "name": "f",
        "kind": "features",
        "paths": ["x"],
        "entity_type": "host",
        "id_column": "id",
        "date_column": "day",
    }
    with pytest.raises(ConfigError, match="'host' is built from events"):
        validate({**BASE, "sources": [source]}, origin="t")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"entities": ["host", "host"]}, "entity types must differ; repeated: ['host']"),
        ({"entities": []}, "entities and entity_columns are empty"),
        (
            {
                "sources": [
                    {
                        "name": name,
                        "kind": "features",
                        "paths": ["x"],
                        "entity_type": "flow",
                        "id_column": "id",
                        "date_column": "day",
                    }
                    for name in ("a", "b")
                ]
            },
            "must differ in entity_type; repeated: ['flow']",
        ),
    ],
)
def test_what_would_count_twice_or_nothing_is_refused(
    section: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        validate({**BASE, **section}, origin="t")


@pytest.mark.parametrize("name", ["local", "demo", "prod"])
def test_the_shipped_configurations_are_valid(name: str) -> None:
    root = Path(__file__).resolve().parents[2]
    assert load_settings(root / "conf" / f"{name}.yaml").entity_types


@pytest.mark.parametrize("value", ["six", 0, 65, True, 2.5])
def test_a_number_or_auto_is_one_fault_in_words(tmp_path: Path, value: object) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"storage": {"path": "x"}, "fit": {"n_components": value}}))
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert "1 fault\n" in str(caught.value)
    assert "fit.n_components: must be 'auto' or an integer from 1 to 64" in str(caught.value)
