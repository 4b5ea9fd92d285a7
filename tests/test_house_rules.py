"""What a machine can check of the house style, checked over the whole tree; each failure says where and what to do.

A rule about Python is a function from a parsed file to the lines that break it, and is tried on a small bad example
too, so that a rule that finds nothing is not a rule that cannot find. Rules about text look at every text file.
`python -m pytest tests/test_house_rules.py -rP` prints the long functions as well.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOT_OURS = {"node_modules", "__pycache__", "dist", "build", "results"}
CODE = {".py", ".sql", ".ts", ".tsx", ".js", ".css", ".sh", ".toml", ".yaml", ".yml", ".tpl"}
TEXT = CODE | {".md", ".json", ".html", ".txt", ".cfg", ".conf", ".lock", ""}

HARD_LIMIT_LINES = 60
LONG_LINES = 30
RARE = 0.05
VAGUE = re.compile(r"^(utils?|commons?|helpers?|managers?)$|.(Utils?|Helpers?|Managers?)$")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|NotImplemented" r"Error)\b")
MACHINE_PATH = re.compile(r"(?<![\w.*}])/(work|root|home/\w+)/")
PAGE = re.compile(r"[\w-]+\.md\b")
NO_PAGE_OF_OURS = re.compile(r"\b(stack-" r"facts|house-" r"style)\b")
FAILING = {"raises", "fail", "timeout", "wait_for"}
CHECKS = re.compile(r"^(assert|check|expect|until|wait_until)")


@dataclass(frozen=True)
class Source:
    """A Python file of the tree, as text and as a tree."""

    path: Path
    text: str

    @property
    def tree(self) -> ast.Module:
        return parsed(self.text)

    @property
    def is_test(self) -> bool:
        return self.path.parts[0] in {"tests", "benchmarks"}

    @property
    def is_for_a_person(self) -> bool:
        """Whether it runs in somebody's terminal and in no simulated world: it may wait and look at the clock."""
        return self.path.parts[0] == "cli"


@cache
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Return all nodes of a tree: nearly every rule looks at each, and to walk takes longer than to look."""
    return tuple(ast.walk(tree))


@cache
def files() -> tuple[Path, ...]:
    """Return every text file of the project, without what tools put beside it."""
    return tuple(sorted(path for path in walk(ROOT) if path.suffix in TEXT))


def walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        hidden = path.name.startswith(".") and path.name not in {".github", ".gitignore", ".dockerignore"}
        if hidden or path.name in NOT_OURS or path.is_symlink():
            continue
        if path.is_dir():
            yield from walk(path)
        else:
            yield path


@cache
def sources() -> tuple[Source, ...]:
    return tuple(
        Source(path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in files() if path.suffix == ".py"
    )


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in nodes(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def dotted(node: ast.expr | None) -> str:
    """Return `a.b.c` for a chain of attributes, and the last part of anything else."""
    match node:
        case ast.Name(name):
            return name
        case ast.Attribute(value, attribute):
            return f"{dotted(value)}.{attribute}"
        case ast.Call(function):
            return dotted(function)
        case _:
            return ""


def called(tree: ast.AST) -> Iterator[tuple[int, str]]:
    return ((node.lineno, dotted(node.func)) for node in nodes(tree) if isinstance(node, ast.Call))


# ---------------------------------------------------------------- rules: from a file to the lines that break them


def module_without_docstring(source: Source) -> Iterable[int]:
    """Open the module with a paragraph: its purpose, its neighbours, its pitfalls."""
    return [] if ast.get_docstring(source.tree) else [1]


def vague_name(source: Source) -> Iterable[int]:
    """Name the module or class by what it is or does; utils, common, helpers and manager say nothing."""
    if any(VAGUE.search(part) for part in source.path.with_suffix("").parts):
        yield 1
    yield from (
        node.lineno for node in nodes(source.tree) if isinstance(node, ast.ClassDef) and VAGUE.search(node.name)
    )


def catches_everything(source: Source) -> Iterable[int]:
    """Catch the errors you can name; a defect of ours must stop the process or consumer that met it."""
    for node in nodes(source.tree):
        if isinstance(node, ast.ExceptHandler) and not isinstance(node.body[-1], ast.Raise):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(dotted(kind) in {"", "Exception", "BaseException"} for kind in kinds):
                yield node.lineno


def reads_the_environment(source: Source) -> Iterable[int]:
    """Read the environment once, in settings.py or __main__.py, and pass on what was read."""
    if source.is_test or source.path.name in {"settings.py", "__main__.py"}:
        return
    for node in nodes(source.tree):
        if isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv", "os.environb"}:
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for name in node.names if name.name in {"environ", "getenv"})


def sleeps(source: Source) -> Iterable[int]:
    """Wait on a condition with a deadline; in asynchronous code with asyncio.sleep, which a test's loop can skip."""
    if source.is_for_a_person:
        return
    yield from (line for line, name in called(source.tree) if name == "time.sleep")
    for node in nodes(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (node.lineno for name in node.names if name.name == "sleep")


def reads_a_clock(source: Source) -> Iterable[int]:
    """Take the time from the clock that was passed in, or from the event loop; only clock.py asks the machine."""
    if source.is_test or source.is_for_a_person or source.path.name == "clock.py":
        return []
    forbidden = re.compile(r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time\.time(_ns)?)$")
    return [line for line, name in called(source.tree) if forbidden.search(name)]


def excuse_without_code(source: Source) -> Iterable[int]:
    """Say which rule is broken: `# type: ignore[code]`, `# noqa: CODE`."""
    excuse = re.compile(r"#\s*type:\s*ignore(?!\[)|#\s*noqa(?!:\s*[A-Z]+\d)", re.IGNORECASE)
    if not excuse.search(source.text):
        return []  # only then is it worth finding out what is a comment
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    return [token.start[0] for token in tokens if token.type == tokenize.COMMENT and excuse.search(token.string)]


def unasserted_test(source: Source) -> Iterable[int]:
    """Assert what must be true; a test that only runs the code passes whatever the code does."""
    if not source.is_test:
        return []
    return [
        test.lineno
        for test in functions(source.tree)
        if test.name.startswith("test_") and not can_fail(test, source.tree)
    ]


def can_fail(test: ast.AST, tree: ast.Module) -> bool:
    """Whether it asserts (itself, or through a function that does or says so) or waits with a deadline."""
    names = [name.rsplit(".", 1)[-1] for _, name in called(test)]
    return asserts(test) or any(name in FAILING or CHECKS.match(name) or name in asserting(tree) for name in names)


@cache
def asserting(tree: ast.Module) -> frozenset[str]:
    return frozenset(function.name for function in functions(tree) if asserts(function))


def asserts(function: ast.AST) -> bool:
    return any(isinstance(node, ast.Assert) for node in nodes(function))


def skipped_without_reason(source: Source) -> Iterable[int]:
    """Say in one sentence what is missing when a test is skipped, or let it run."""
    for node in nodes(source.tree):
        if isinstance(node, ast.Attribute) and dotted(node) == "pytest.mark.skip":
            yield node.lineno
        if isinstance(node, ast.Call) and dotted(node.func) == "pytest.mark.skipif":
            yield from [] if any(keyword.arg == "reason" for keyword in node.keywords) else [node.lineno]


def too_long(source: Source) -> Iterable[int]:
    """Split the function: it has to fit on a screen. Only a single `match` may be longer, for it is read as a table."""
    return [
        function.lineno
        for function in functions(source.tree)
        if lines_of(function) > HARD_LIMIT_LINES and not is_table(function)
    ]


def is_table(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it is one `match` (and what `assert_never` is said of), with short cases."""
    body = [node for node in function.body if not isinstance(node, ast.Expr)]
    cases = [case for node in body if isinstance(node, ast.Match) for case in node.cases]
    return len(body) == 1 and bool(cases) and all(len(case.body) <= 3 for case in cases)


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


Rule = Callable[[Source], Iterable[int]]

EXCEPTIONS: dict[tuple[str, str], str] = {
    (
        "catches_everything",
        "libs/chassis/muster_chassis/service.py",
    ): "the supervisor of loops: whatever stopped one is what its health has to say",
    (
        "catches_everything",
        "libs/simcluster/simcluster/http.py",
    ): "an API server answers 500 to the request that met a defect, and serves the next",
    (
        "catches_everything",
        "services/scheduler/muster_scheduler/answering.py",
    ): "a question changes nothing: who asked is told that we failed, the log says at what, and the next is answered",
    (
        "catches_everything",
        "services/scheduler/muster_scheduler/planning.py",
    ): "whoever a plan fails at is set aside, so that nobody stops the planning for all; log and health say why",
    (
        "reads_the_environment",
        "local/muster_local/supervisor.py",
    ): "what child processes inherit of the environment is not a setting",
}
"""Where a rule is broken, and why. The line says so too; here it is counted."""

EXAMPLES: list[tuple[Rule, str, str]] = [
    (module_without_docstring, "services/a/core/plan.py", "import os"),
    (vague_name, "services/a/utils.py", '"""A."""'),
    (vague_name, "services/a/common/paths.py", '"""A."""'),
    (vague_name, "services/a/pods.py", "class PodManager: ..."),
    (catches_everything, "cli/list.py", "try: f()\nexcept Exception: pass"),
    (catches_everything, "cli/list.py", "try: f()\nexcept (OSError, BaseException): g()"),
    (catches_everything, "cli/list.py", "try: f()\nexcept: g()"),
    (reads_the_environment, "libs/a/app.py", "import os\nos.environ['A']"),
    (reads_the_environment, "libs/a/app.py", "import os\nos.getenv('A')"),
    (reads_the_environment, "libs/a/app.py", "from os import environ"),
    (sleeps, "tests/a/test_a.py", "import time\ntime.sleep(1)"),
    (sleeps, "tests/a/test_a.py", "from time import sleep"),
    (reads_a_clock, "libs/a/app.py", "datetime.now(UTC)"),
    (reads_a_clock, "libs/a/app.py", "datetime.datetime.utcnow()"),
    (reads_a_clock, "libs/a/app.py", "time.time()"),
    (excuse_without_code, "libs/a/app.py", "f()  # type: " + "ignore"),
    (excuse_without_code, "libs/a/app.py", "f()  # no" + "qa"),
    (unasserted_test, "tests/a/test_a.py", "def test_a():\n    f()"),
    (unasserted_test, "tests/a/test_a.py", "async def test_a():\n    await f()"),
    (skipped_without_reason, "tests/a/test_a.py", "@pytest.mark.skip\ndef test_a(): assert f()"),
    (skipped_without_reason, "tests/a/test_a.py", "@pytest.mark.skipif(True)\ndef test_a(): assert f()"),
    (too_long, "libs/a/app.py", "def f():\n" + "    g()\n" * HARD_LIMIT_LINES),
]
RULES = sorted({rule for rule, _, _ in EXAMPLES}, key=lambda rule: rule.__name__)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: Rule) -> None:
    judged = [source for source in sources() if (rule.__name__, source.path.as_posix()) not in EXCEPTIONS]
    found = [f"{source.path}:{line}" for source in judged for line in rule(source)]
    assert not found, f"{rule.__doc__}\n" + "\n".join(found)


@pytest.mark.parametrize(("rule", "path", "text"), EXAMPLES, ids=lambda each: getattr(each, "__name__", ""))
def test_the_rule_finds_what_it_forbids(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(Path(path), text)))


@pytest.mark.parametrize(("rule", "path"), EXCEPTIONS)
def test_an_exception_is_still_needed_and_is_the_only_one_of_its_file(rule: str, path: str) -> None:
    (judge,) = (each for each in RULES if each.__name__ == rule)
    (source,) = (each for each in sources() if each.path.as_posix() == path)
    assert len(list(judge(source))) == 1, "take it out of EXCEPTIONS, or break the rule once only"


@pytest.mark.parametrize(
    "text",
    [
        "def test_a():\n    with pytest.raises(ValueError): f()",
        "def test_a():\n    assert_settled(f())",
        "def test_a():\n    judge(f())\ndef judge(a):\n    assert a",
    ],
)
def test_a_test_may_assert_through_another_function(text: str) -> None:
    assert not list(unasserted_test(Source(Path("tests/a/test_a.py"), text)))


def test_an_error_may_be_caught_to_be_raised_again() -> None:
    assert not list(catches_everything(Source(Path("cli/a.py"), "try: f()\nexcept BaseException:\n    g()\n    raise")))


def test_a_long_match_over_all_events_is_a_table_and_not_too_long() -> None:
    cases = "".join(f"        case {number}:\n            f({number})\n" for number in range(40))
    assert not list(too_long(Source(Path("libs/a/app.py"), f"def evolve(event):\n    match event:\n{cases}")))
    assert list(
        too_long(Source(Path("libs/a/app.py"), f"def evolve(event):\n    f()\n    x = 1\n    match event:\n{cases}"))
    )


def test_long_functions_are_rare() -> None:
    every = [(lines_of(function), source.path, function) for source in sources() for function in functions(source.tree)]
    long = sorted(((lines, str(path), each.name) for lines, path, each in every if lines > LONG_LINES), reverse=True)
    report = "\n".join(f"{lines} lines: {path}: {name}" for lines, path, name in long)
    print(report)
    assert len(long) <= RARE * len(every), f"more than {RARE:.0%} are over {LONG_LINES} lines; split some:\n{report}"


# ---------------------------------------------------------------- rules about text


def lines_with(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_left_unfinished() -> None:
    assert UNFINISHED.search("# TO" + "DO: later")
    found = lines_with(UNFINISHED, (path for path in files() if path.suffix in CODE))
    assert not found, "finish it, or open an issue and leave no mark:\n" + "\n".join(found)


def test_no_file_names_a_path_of_one_machine() -> None:
    assert MACHINE_PATH.search("cd /wo" + "rk/main")
    found = lines_with(MACHINE_PATH, files())
    assert not found, "use a path relative to the project, or one that was passed in:\n" + "\n".join(found)


def test_every_page_that_is_cited_is_there() -> None:
    there = {path.name for path in files()}
    cited = [
        (path, name)
        for path in files()
        for name in set(PAGE.findall(path.read_text(encoding="utf-8")))
        if path.suffix in CODE | {".md", ".json"}
    ]
    missing = [f"{path.relative_to(ROOT)}: {name}" for path, name in cited if name not in there]
    missing += lines_with(NO_PAGE_OF_OURS, files())
    assert {name for _, name in cited} > {"lifecycle.md"}
    assert not missing, "say what it says, or cite a page that ships:\n" + "\n".join(missing)


def test_the_simulated_cluster_knows_nothing_of_us() -> None:
    ours = re.compile("muster", re.IGNORECASE)
    found = lines_with(ours, (path for path in files() if path.is_relative_to(ROOT / "libs" / "simcluster")))
    assert not found, "it is a Kubernetes for anybody: say it without our name:\n" + "\n".join(found)


def test_the_rules_look_at_the_whole_tree() -> None:
    tops = {source.path.parts[0] for source in sources()}
    assert {"libs", "services", "cli", "local", "tests"} <= tops
