"""One code base for classic Spark, Connect and serverless: what only a classic session has."""

import ast

import pytest
from tests.conftest import ROOT

LIB = ROOT / "lib" / "shoal"
CLASSIC_ONLY = {"rdd", "sparkContext", "_jvm", "_jdf", "_jsparkSession", "_sc"}
CLASSIC_MODULES = {"pyspark.ml", "pyspark.mllib", "pyspark.core", "py4j"}
MAY_BE_CLASSIC = {LIB / "models" / "mllib.py", LIB / "spark" / "session.py"}
MODULES = sorted(path for path in LIB.rglob("*.py") if path not in MAY_BE_CLASSIC)


def classic_names(source: str) -> list[str]:
    """Attributes and imports that Spark Connect doesn't have."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in CLASSIC_ONLY:
            found.append(node.attr)
        if isinstance(node, ast.ImportFrom):
            found += [m for m in CLASSIC_MODULES if f"{node.module}.".startswith(f"{m}.")]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIB)))
def test_only_sessions_and_mllib_need_a_classic_session(path: object) -> None:
    assert classic_names(path.read_text(encoding="utf-8")) == []  # type: ignore[attr-defined]


def test_the_check_finds_what_it_looks_for() -> None:
    for path in MAY_BE_CLASSIC:
        assert classic_names(path.read_text(encoding="utf-8"))
