"""How the package is written: how much a call has to say, how long a function is, what is waived.

Bounds on what code drifts towards when nobody counts, each with a made-up source that breaks it.
The longest file and function are held in ``test_layers.py``, all lines in ``test_budget.py``.
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from architecture import PACKAGE

MAX_PARAMETERS = 10
MAX_WAIVERS = 12
MAX_MEDIAN_LINES, MAX_P95_LINES = 7, 25
COMMAND_LINES = "commands/"
"""Typer makes the options of a command of a function's parameters."""
MANY_PARAMETERS = (
    "lab/ablations/commands.py:ablations",  # options of a command, too
    "lab/evaluation/commands.py:quality",  # options of a command, too
)
"""Functions that may take more, each with its reason."""
WAIVER = re.compile(r"#\s*((ruff:\s*)?noqa|type:\s*ignore)", re.IGNORECASE)

SOURCES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}


@dataclass(frozen=True, slots=True)
class Function:
    """One function or method as it is written."""

    name: str
    """Such as "daemon/loop.py:Loop.start"."""
    num_lines: int
    """From its ``def`` to its last line, docstring and blank lines included; no decorators."""
    num_parameters: int
    """Those a caller may give: neither ``self`` nor ``cls``."""


def functions_of(sources: Mapping[str, str]) -> list[Function]:
    """Every function of the sources by path, nested ones and methods too."""
    return [
        one for path, source in sources.items() for one in _functions_in(ast.parse(source), path)
    ]


def _functions_in(node: ast.AST, path: str, owner: str = "") -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            num_lines = (child.end_lineno or child.lineno) - child.lineno + 1
            yield Function(f"{path}:{owner}{child.name}", num_lines, _num_parameters(child.args))
        inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _functions_in(child, path, f"{owner}{child.name}." if inner else owner)


def _num_parameters(arguments: ast.arguments) -> int:
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    return sum(one.arg not in ("self", "cls") for one in named + rest)


def too_many_parameters(functions: Iterable[Function]) -> list[str]:
    return [
        f"{one.name} takes {one.num_parameters} parameters, at most {MAX_PARAMETERS}"
        for one in functions
        if one.num_parameters > MAX_PARAMETERS
        and one.name not in MANY_PARAMETERS
        and not one.name.startswith(COMMAND_LINES)
    ]


def waivers_of(sources: Mapping[str, str]) -> list[str]:
    """Comments that silence ruff or mypy, by file and line."""
    return [
        f"{path}:{token.start[0]} {token.string}"
        for path, source in sources.items()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
        for _ in WAIVER.finditer(token.string)
    ]


def too_many_waivers(sources: Mapping[str, str]) -> list[str]:
    """All of them, where they are too many."""
    found = waivers_of(sources)
    return found if len(found) > MAX_WAIVERS else []


def too_long(functions: Iterable[Function]) -> list[str]:
    """What is over of the median and the 95th percentile, with the functions to shorten."""
    ordered = sorted(functions, key=lambda one: one.num_lines)
    median = statistics.median(one.num_lines for one in ordered)
    rank = int(0.95 * (len(ordered) - 1))
    p95 = ordered[rank].num_lines
    found = []
    if median > MAX_MEDIAN_LINES:
        found.append(f"the median function has {median:g} lines, at most {MAX_MEDIAN_LINES}")
    if p95 > MAX_P95_LINES:
        over = [one for one in ordered[: rank + 1] if one.num_lines > MAX_P95_LINES]
        told = ", ".join(f"{one.name} {one.num_lines}" for one in over)
        found.append(
            f"one function of 20 has over {p95} lines, at most {MAX_P95_LINES}; these count: {told}"
        )
    return found


@pytest.fixture(scope="module")
def functions() -> list[Function]:
    """Those of the package."""
    return functions_of(SOURCES)


def test_no_call_has_to_say_more_than_ten_things(functions: list[Function]) -> None:
    """Catches a constructor that takes all the parts of what it should be given whole."""
    assert too_many_parameters(functions) == []


def test_what_may_take_more_does(functions: list[Function]) -> None:
    """Catches an exception that stays after its function was mended."""
    found = {one.name: one.num_parameters for one in functions}
    assert [name for name in MANY_PARAMETERS if found.get(name, 0) <= MAX_PARAMETERS] == []


def test_the_checkers_are_silenced_seldom() -> None:
    """Catches a rule that is waived where the code could be written to keep it."""
    assert too_many_waivers(SOURCES) == []


def test_functions_stay_short(functions: list[Function]) -> None:
    """Catches a package of functions that are each within the limit and long all the same."""
    assert too_long(functions) == []


def made_up(name: str, num_parameters: int = 0, num_lines: int = 2) -> str:
    parameters = ", ".join(f"p{number}" for number in range(num_parameters))
    return "\n".join([f"def {name}({parameters}):", *["    pass"] * (num_lines - 1), ""])


@pytest.mark.parametrize(
    ("signature", "count"),
    [
        ("self, a, b", 2),
        ("cls, a, /, b, *, c", 3),
        ("self, *a, b, **c", 3),
        ("", 0),
    ],
)
def test_every_kind_of_parameter_counts(signature: str, count: int) -> None:
    """Catches keyword-only ones, or ``self``, counted as the others are not."""
    (found,) = functions_of({"a.py": f"class A:\n    async def f({signature}): ...\n"})
    assert found == Function("a.py:A.f", 1, count)


def test_a_call_of_eleven_things_is_named() -> None:
    """Catches a check that passes everything, and one that is off by one."""
    source = (
        made_up("ten", 10)
        + "class A:\n    if True:\n        def f(self, *, "
        + ", ".join(f"p{number}" for number in range(11))
        + "): ...\n"
    )
    assert too_many_parameters(functions_of({"model/a.py": source})) == [
        "model/a.py:A.f takes 11 parameters, at most 10"
    ]
    assert too_many_parameters(functions_of({"commands/a.py": source})) == []


def test_waivers_are_counted_in_comments_alone() -> None:
    """Catches one in a string that counts, and one without a space that does not."""
    source = (
        "a = '# noqa'  # noqa: E1 - told\nb = 1  #type:ignore[x]  # NOQA\nc = 1  # no quarrel\n"
    )
    first, *both = waivers_of({"a.py": source})
    assert first == "a.py:1 # noqa: E1 - told"
    assert both == ["a.py:2 #type:ignore[x]  # NOQA"] * 2
    assert too_many_waivers({"a.py": MAX_WAIVERS * "a = 1  # noqa\n"}) == []
    assert len(too_many_waivers({"a.py": (MAX_WAIVERS + 1) * "a = 1  # noqa\n"})) == MAX_WAIVERS + 1


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        ([7] * 20 + [60], []),
        ([7] * 10 + [8] * 11, ["the median function has 8 lines, at most 7"]),
        ([7] * 19 + [25, 60], []),
        (
            [7] * 19 + [26, 60],
            ["one function of 20 has over 26 lines, at most 25; these count: a.py:f19 26"],
        ),
    ],
)
def test_long_functions_are_told_by_number(lengths: list[int], told: list[str]) -> None:
    """Catches a mean, which one long function moves, and a rank that is off by one."""
    source = "".join(made_up(f"f{n}", num_lines=lines) for n, lines in enumerate(lengths))
    assert too_long(functions_of({"a.py": source})) == told
