"""The table of behaviours in `clients/README.md` and the tests that show its rows."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator

import pytest

_TESTS = pathlib.Path(__file__).parent
_TABLE = (_TESTS.parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("files", ["test_[!a]*.py test_answers.py", "test_aio_*.py"])
def test_every_row_has_a_test_and_every_test_a_row(files: str) -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", _TABLE, re.MULTILINE)
    paths = [path for pattern in files.split() for path in _TESTS.glob(pattern)]
    shown = {row for path in paths for row in _rows(ast.parse(path.read_text(encoding="utf-8")))}
    assert len(rows) > 30 and len(set(rows)) == len(rows)
    assert sorted(shown) == sorted(rows)


def _rows(module: ast.Module) -> Iterator[str]:
    """Those that tests are marked with."""
    for test in module.body:
        if isinstance(test, (ast.FunctionDef, ast.AsyncFunctionDef)) and test.name.startswith("test_"):
            for mark in test.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.row":
                    yield from (str(ast.literal_eval(argument)) for argument in mark.args)
