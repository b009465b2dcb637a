"""Fixtures of the compiler's tests: schemas from text, and generated code that can be called."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aerostore_codegen.load import load_schema
from aerostore_codegen.lower import lower
from aerostore_codegen.model import Schema
from aerostore_codegen.problems import SchemaProblems
from compiler.generated_code import GeneratedCode, build_callable

HERE = Path(__file__).resolve().parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regen", action="store_true", help="rewrite tests/golden")


@pytest.fixture
def compile_text(tmp_path: Path) -> Callable[..., Schema]:
    """Return a function from the text of a schema file (imports are added) to its model."""

    def run(text: str, package: str | None = "fleet") -> Schema:
        path = tmp_path / "fleet.py"
        # One line, so that line 2 of the file is line 1 of the text.
        path.write_text("from aerostore.schema import *\n" + text, encoding="utf-8")
        return lower(load_schema(path), package)

    return run


@pytest.fixture
def problems_of(compile_text: Callable[..., Schema]) -> Callable[..., list[str]]:
    """Return a function from a wrong schema text to its problems, without the folder."""

    def run(text: str, package: str | None = "fleet") -> list[str]:
        with pytest.raises(SchemaProblems) as caught:
            compile_text(text, package)
        return [str(problem).split("/")[-1] if str(problem).startswith("/") else str(problem)
                for problem in caught.value.problems]

    return run


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> GeneratedCode:
    """Compile schemas/kinds.py with the engine's conversions and load it."""
    return build_callable(HERE / "schemas" / "kinds.py", tmp_path_factory.mktemp("kinds"))
