"""How much there is to read: lines of code of camera, laboratory and service, against a budget.

A line counts where it holds code: no blank, no comment, no docstring. The numbers go down with
every change that is no new capability; who adds one raises them and says so in the commit.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path

import pytest
from architecture import PACKAGE, module_of, room_of

BUDGET = {"camera": 22_140, "lab": 8_784, "service": 703}
NO_CODE = (
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING),
)


def num_code_lines(source: str) -> int:
    """Lines with a token of code on them; a string that stands alone is documentation."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(ast.Constant(value=str())):
                told |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - told)


def house_of(path: Path) -> str:
    house = room_of(module_of(path)).partition("/")[0]
    return house if house in BUDGET else "camera"


@pytest.mark.parametrize("house", BUDGET)
def test_a_house_stays_within_its_budget(house: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches code that grows by habit."""
    files = [path for path in PACKAGE.rglob("*.py") if house_of(path) == house]
    count = sum(num_code_lines(path.read_text("utf-8")) for path in files)
    with capsys.disabled():
        told = f"{house}: {count} code lines in {len(files)} files, budget {BUDGET[house]}"
        sys.stdout.write(f"\n{told}\n")
    assert count <= BUDGET[house]


def test_only_code_is_counted() -> None:
    """Catches comments and docstrings that count, and strings over lines that do not."""
    source = '"""Told."""\n\n# why\nx = 1  # here\n"""What x is."""\n\n\ny = """a\nb"""\n'
    assert num_code_lines(source) == 3
