"""tools/setup.py: what it takes for a Java, and when it calls itself ready."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup_script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_script", ROOT / "tools" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "setup_script", module)
    spec.loader.exec_module(module)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    return module


def make_java(home: Path, version: int, *modules: str) -> Path:
    """A program that answers as `java -XshowSettings:properties --list-modules` does."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    lines = "\n".join(f"{module}@{version}.0.1" for module in ("java.base", *modules))
    program.write_text(
        "#!/bin/sh\n"
        f"printf '    java.home = %s\\n' '{home}' >&2\n"
        f"echo '    java.specification.version = {version}' >&2\n"
        f"echo '{lines}'\n"
    )
    program.chmod(0o755)
    return program


def test_java_is_looked_for_in_java_home_then_path_then_the_systems_folder(
    setup_script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("in home", "on_path", "jvm/system"):
        make_java(tmp_path / place, 17, "jdk.incubator.vector")
    jvm = tmp_path / "jvm"

    assert setup_script.find_java(jvm).home == jvm / "system"
    on_path = str(tmp_path / "on_path" / "bin" / "java")
    monkeypatch.setattr(setup_script.shutil, "which", lambda name: on_path)
    assert setup_script.find_java(jvm).home == tmp_path / "on_path"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "in home"))
    assert setup_script.find_java(jvm).home == tmp_path / "in home"


def test_old_trimmed_and_broken_javas_are_passed_over(
    setup_script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_java(tmp_path / "a_old", 11, "jdk.incubator.vector")
    make_java(tmp_path / "b_trimmed", 21)
    make_java(tmp_path / "c_broken", 21, "jdk.incubator.vector").write_text("#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    assert setup_script.find_java(tmp_path) is None

    make_java(tmp_path / "d_good", 25, "jdk.incubator.vector")
    assert setup_script.find_java(tmp_path).version == 25


def test_no_java_and_no_right_to_install_one_names_the_command(
    setup_script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_script, "can_apt", lambda: False)
    with pytest.raises(setup_script.SetupError, match="apt-get install openjdk-17-jre-headless"):
        setup_script.install_java()


def test_ready_only_while_all_that_was_made_is_there_and_the_inputs_are_the_same(
    setup_script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = make_java(tmp_path / "java", 17)
    python = make_java(tmp_path / "venv", 17)
    jar = tmp_path / "delta.jar"
    jar.touch()
    environment = tmp_path / "shoal-env"
    environment.touch()
    state = tmp_path / "state.json"
    monkeypatch.setattr(setup_script, "STATE", state)
    monkeypatch.setattr(setup_script, "PYTHON", python)
    monkeypatch.setattr(setup_script, "ENVIRONMENT", environment)
    assert not setup_script.is_ready()

    made = {
        "inputs": setup_script.inputs_hash(),
        "java": str(tmp_path / "java"),
        "jars": [str(jar)],
    }
    state.write_text(json.dumps(made))
    assert setup_script.is_ready()

    for gone in (java, python, jar, environment):
        held = gone.read_bytes()
        gone.unlink()
        assert not setup_script.is_ready(), gone
        gone.write_bytes(held)
        gone.chmod(0o755)
    assert setup_script.is_ready()

    state.write_text(json.dumps({**made, "inputs": "of an older lock"}))
    assert not setup_script.is_ready()
    state.write_text("cut off")
    assert not setup_script.is_ready()


def test_proxies_of_the_environment_reach_java(
    setup_script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "JAVA_TOOL_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    assert setup_script.java_options() == ""
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1g")
    expected = "-Xmx1g -Dhttps.proxyHost=proxy.example -Dhttps.proxyPort=3128"
    assert setup_script.java_options() == expected


def test_the_lock_names_no_place_and_has_a_hash_for_every_package() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = [line for line in lock.splitlines() if "==" in line]
    assert len(pins) > 50
    assert all(line.endswith("\\") for line in pins)
    assert "--hash=sha256:" in lock
    for word in ("://", "--index", "--find-links", " @ "):
        assert word not in lock
