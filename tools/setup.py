"""Make `.venv` ready for Shoal: packages, Java and Delta's jars. Run by `make setup`.

Only the standard library, as nothing else is there yet. A second run does nothing and needs no
network; what the first one did stands in `.venv/shoal-setup.json`, its output in
`.venv/shoal-setup.log`.
"""

import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STATE = VENV / "shoal-setup.json"
LOG = VENV / "shoal-setup.log"
ENVIRONMENT = VENV / "shoal-env"

MIN_PYTHON = (3, 11)
MIN_JAVA = 17
# Spark's launcher demands it; runtimes trimmed to size lack it.
JAVA_MODULE = "jdk.incubator.vector"
JAVA_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "openjdk-25-jre-headless")

# What points Python or Spark at another installation than the one made here.
FOREIGN = (
    "PYSPARK_DRIVER_PYTHON",
    "PYSPARK_DRIVER_PYTHON_OPTS",
    "PYSPARK_PYTHON",
    "PYSPARK_SUBMIT_ARGS",
    "PYTHONHOME",
    "PYTHONPATH",
    "SPARK_CONF_DIR",
    "SPARK_HOME",
)


class SetupError(Exception):
    """What stops set-up, and what to do about it, in one line."""


@dataclass(frozen=True)
class Java:
    """A Java installation: its home and its major version."""

    home: Path
    version: int


def main() -> int:
    try:
        with Path(__file__).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` at once: the second waits, then is ready
            if is_ready():
                print("setup: ready")
            else:
                set_up()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: stopped; `make setup` goes on from here", file=sys.stderr)
        return 130
    return 0


def set_up() -> None:
    began = time.monotonic()
    with stage("virtual environment"):
        make_venv()
        LOG.unlink(missing_ok=True)
        STATE.unlink(missing_ok=True)
    with stage("packages (a first run downloads about 700 MB)"):
        install_packages()
    with stage(f"Java {MIN_JAVA} or newer"):
        java = find_java() or install_java()
        record_java(java)
    with stage("Delta's jars"):
        jars = install_jars()
    STATE.write_text(
        json.dumps({"inputs": inputs_hash(), "java": str(java.home), "jars": jars}, indent=1)
    )
    print(f"setup: ready after {time.monotonic() - began:.0f} s, Java {java.version} ({java.home})")


def is_ready() -> bool:
    """Whether an earlier run made all of this, from the same inputs, and it is still there."""
    try:
        state = json.loads(STATE.read_text())
        return (
            state["inputs"] == inputs_hash()
            and os.access(PYTHON, os.X_OK)
            and ENVIRONMENT.is_file()
            and os.access(Path(state["java"], "bin", "java"), os.X_OK)
            and all(Path(jar).is_file() for jar in state["jars"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def inputs_hash() -> str:
    """Hash of all that decides what set-up makes; the place too, as a `.venv` can't be moved."""
    digest = hashlib.sha256(os.fsencode(ROOT))
    for name in ("requirements.lock", "pyproject.toml", "tools/setup.py", "tools/delta_jars.py"):
        digest.update(hashlib.sha256((ROOT / name).read_bytes()).digest())
    return digest.hexdigest()


@contextmanager
def stage(title: str) -> Iterator[None]:
    print(f"setup: {title} …", flush=True)
    began = time.monotonic()
    yield
    print(f"setup:   done in {time.monotonic() - began:.1f} s", flush=True)


def run(command: Sequence[str | Path], *, env: dict[str, str] | None = None) -> None:
    """Run a command into the log, with its newest line shown on a terminal."""
    words = [str(word) for word in command]
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns - 5
    with (
        LOG.open("a", encoding="utf-8") as log,
        subprocess.Popen(
            words,
            cwd=ROOT,
            env=env or clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        log.write(f"$ {shlex.join(words)}\n")
        last: list[str] = []
        for line in process.stdout or ():
            log.write(line)
            last = [*last[-11:], line.rstrip()]
            if is_terminal:
                print(f"\r\033[K    {line.strip()[:width]}", end="", flush=True)
        if is_terminal:
            print("\r\033[K", end="", flush=True)
    if process.returncode:
        shown = "\n".join(f"  | {line}" for line in last)
        name = " ".join(Path(word).name for word in words[:4])
        print(shown, file=sys.stderr)
        raise SetupError(f"`{name} …` failed with {process.returncode}; all of its output: {LOG}")


def succeeds(*command: str | Path) -> bool:
    try:
        result = subprocess.run(command, env=clean_environment(), capture_output=True)
    except OSError:
        return False
    return result.returncode == 0


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


# --- Python -------------------------------------------------------------------------------------


def make_venv() -> None:
    """Keep a `.venv` that works; else make one, also where Debian's ensurepip is missing."""
    if is_usable_venv():
        return
    if succeeds(sys.executable, "-c", "import ensurepip"):
        create_venv()
    elif has_pip(sys.executable):
        create_venv("--without-pip")  # the host's pip installs into it
    elif can_apt():
        release = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        apt_install((release, "python3-venv"))
        create_venv()
    else:
        raise SetupError(
            f"{sys.executable} can't make virtual environments; run "
            "`sudo apt-get install python3-venv` and try again"
        )


def is_usable_venv() -> bool:
    ours = f"import sys; sys.exit(sys.version_info < {MIN_PYTHON} or sys.prefix != {str(VENV)!r})"
    return succeeds(PYTHON, "-c", ours) and (has_pip(PYTHON) or has_pip(sys.executable))


def has_pip(python: str | Path) -> bool:
    return succeeds(python, "-m", "pip", "--version")


def create_venv(*options: str) -> None:
    command = [sys.executable, "-m", "venv", "--clear", *options, str(VENV)]
    result = subprocess.run(command, env=clean_environment(), capture_output=True, text=True)
    if result.returncode:
        raise SetupError(f"{shlex.join(command)} failed: {(result.stdout + result.stderr).strip()}")


def install_packages() -> None:
    """Install the locked packages and Shoal itself; where from is the user's pip configuration."""
    pip: list[str | Path] = [PYTHON, "-m", "pip"]
    if not has_pip(PYTHON):
        pip = [sys.executable, "-m", "pip", "--python", PYTHON]
    install = [*pip, "install", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    run([*install, "--require-hashes", "-r", "requirements.lock"])
    # The build backend is among the locked packages, so this downloads nothing.
    run([*install, "--no-deps", "--no-build-isolation", "-e", "."])


# --- apt ----------------------------------------------------------------------------------------


def can_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(packages: Sequence[str]) -> None:
    """Install the first of these packages that this release of the system has."""
    VENV.mkdir(exist_ok=True)  # the log's place
    env = {**clean_environment(), "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], env=env)
    for package in packages:
        if succeeds("apt-cache", "show", "--no-all-versions", package):
            run(["apt-get", "install", "-y", "-q", "--no-install-recommends", package], env=env)
            return
    raise SetupError(f"apt-get knows none of {', '.join(packages)}; install one of them by hand")


# --- Java ---------------------------------------------------------------------------------------


def find_java(jvm_folder: Path = Path("/usr/lib/jvm")) -> Java | None:
    """The first full Java of JAVA_HOME, PATH and the system's folder that is new enough."""
    candidates = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home, "bin", "java"))
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    candidates += sorted(jvm_folder.glob("*/bin/java"))
    return next(filter(None, map(examine_java, candidates)), None)


def examine_java(program: Path) -> Java | None:
    """Ask a `java` for its home, version and modules; None if Spark can't use it."""
    try:
        answer = subprocess.run(
            [program, "-XshowSettings:properties", "--list-modules"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = answer.stdout + answer.stderr
    home = re.search(r"^\s*java\.home = (.+)$", text, re.MULTILINE)
    version = re.search(r"^\s*java\.specification\.version = (\d+)$", text, re.MULTILINE)
    if not home or not version or int(version[1]) < MIN_JAVA:
        return None
    if not re.search(rf"^{re.escape(JAVA_MODULE)}(@|$)", text, re.MULTILINE):
        return None
    return Java(Path(home[1].strip()), int(version[1]))


def install_java() -> Java:
    if can_apt():
        apt_install(JAVA_PACKAGES)
        if java := find_java():
            return java
    raise SetupError(
        f"no full Java {MIN_JAVA} or newer found in JAVA_HOME, on PATH or in /usr/lib/jvm; run "
        f"`sudo apt-get install {JAVA_PACKAGES[0]}` (or a newer one) and try again"
    )


def record_java(java: Java) -> None:
    """Note this Java for the Makefile and for sessions, which may start where none is on PATH.

    Not in Spark's own conf/spark-env.sh: Spark doesn't quote that path, so a space breaks it.
    """
    ENVIRONMENT.write_text(f"export JAVA_HOME={shlex.quote(str(java.home))}\n")


# --- Delta --------------------------------------------------------------------------------------


def install_jars() -> list[str]:
    """Put Delta's jars beside Spark's own; the list of them."""
    listing = VENV / "shoal-jars.json"
    env = {**clean_environment(), "JAVA_TOOL_OPTIONS": java_options()}
    try:
        run([PYTHON, ROOT / "tools" / "delta_jars.py", listing], env=env)
    except SetupError as error:
        raise SetupError(
            f"{error}. Spark fetches these jars from Maven Central; for a mirror set "
            "DEFAULT_ARTIFACT_REPOSITORY to its address and try again"
        ) from None
    jars: list[str] = json.loads(listing.read_text())["jars"]
    return jars


def java_options() -> str:
    """Java's own settings for the proxy that the environment names, as Java doesn't read that."""
    options = [os.environ.get("JAVA_TOOL_OPTIONS", "")]
    for scheme in ("http", "https"):
        name = f"{scheme}_proxy"
        proxy = urlsplit(os.environ.get(name) or os.environ.get(name.upper()) or "")
        if proxy.hostname:
            options.append(f"-D{scheme}.proxyHost={proxy.hostname}")
            options.append(f"-D{scheme}.proxyPort={proxy.port or 80}")
    return " ".join(options).strip()


if __name__ == "__main__":
    sys.exit(main())
