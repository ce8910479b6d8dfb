"""Measures a checkout's architecture: imports, circles, calls, documentation, size.

The architecture tests hold today's tree to these measures. As a script it prints a column per checkout::

    python tests/house.py BEFORE AFTER
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import networkx

MAX_POSITIONAL = 5
FIELDS_OF = {
    "events": ("api/events.py", "events.py"),
    "specs": ("api/specs.py", "specs.py"),
    "records": ("results/records.py", "results/record.py", "api/metrics.py", "measures.py"),
}
"""The modules whose dataclasses and models document every field, here and in the old tree."""


RETIRED = frozenset(
    [
        *("desk", "panel", "judge", "judges", "judged", "examiner", "lens", "learnt", "outcome", "outcomes"),
        *("watch", "watched", "twin", "twins", "rival", "rivals", "trouble", "told", "sight"),
    ]
)
"""Words that nothing is named by; plural ``panels`` are those of a picture."""


@dataclass(frozen=True)
class Import:
    """One imported name: ``from module import name``, or ``import module`` where ``name`` is empty."""

    line: int
    module: str
    name: str


@cache
def tree(path: Path) -> ast.Module:
    """Parse a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def modules(package: Path) -> dict[str, Path]:
    """Find the modules of a package by their dotted names; a stub stands for the module that it describes."""
    named = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        stub = path.with_suffix(".pyi")
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        named[name] = stub if stub.exists() else path
    return named


def plugin_modules(root: Path) -> list[Path]:
    """Find the modules of the packages in plugins/ and scenarios/."""
    packages = [*root.glob("plugins/*/fedbench_*"), *root.glob("scenarios/*/fedbench_*")]
    return sorted(path for package in packages for path in package.rglob("*.py"))


def imports(path: Path, package: str = "fedbench") -> Iterator[Import]:
    """List what a file imports from ``package``, also inside functions and under ``TYPE_CHECKING``."""
    for node in ast.walk(tree(path)):
        names: list[Import] = []
        if isinstance(node, ast.Import):
            names = [Import(node.lineno, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            relative = path.suffix == ".pyi"  # lazy_loader reads no others
            assert node.level == relative, f"{path}, line {node.lineno}: relative imports are for stubs only"
            module = f"{package}.{node.module}" if relative else node.module or ""
            names = [Import(node.lineno, module, alias.name) for alias in node.names]
        yield from (name for name in names if name.module.split(".")[0] == package)


def import_graph(package: Path) -> "networkx.DiGraph[str]":
    """Draw the modules of a package with an edge from each module to every module that it imports."""
    known = modules(package)
    graph = networkx.DiGraph()
    graph.add_nodes_from(known)
    for module, path in known.items():
        for item in imports(path, package.name):
            inner = f"{item.module}.{item.name}"
            graph.add_edge(module, inner if inner in known else item.module)
    return graph


def folder_graph(graph: "networkx.DiGraph[str]") -> "networkx.DiGraph[str]":
    """Join the modules of each top-level part (``fedbench.data.items`` → ``fedbench.data``)."""
    folders = networkx.DiGraph()
    for source, target in graph.edges:
        ends = [".".join(module.split(".")[:2]) for module in (source, target)]
        if ends[0] != ends[1]:
            folders.add_edge(*ends)
    return folders


def circles(graph: "networkx.DiGraph[str]") -> list[list[str]]:
    """List the sets of modules that import each other, however far around (strongly connected components)."""
    components = networkx.strongly_connected_components(graph)
    found = [sorted(component) for component in components if len(component) > 1]
    return sorted(found + [[module] for module in networkx.nodes_with_selfloops(graph)])


def positional_calls(path: Path, more_than: int = MAX_POSITIONAL) -> list[tuple[int, int, str]]:
    """List calls with many positional arguments: line, their number (``*args`` is one), what is called."""
    calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    return [
        (call.lineno, len(call.args), ast.unparse(call.func)) for call in calls if len(call.args) > more_than
    ]


def format_skips(path: Path) -> list[int]:
    """List the lines on which the formatter is switched off."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if "# fmt: skip" in line or "# fmt: off" in line]


def retired_names(path: Path) -> list[tuple[int, str]]:
    """List what a file defines under a retired word: classes, functions, arguments, variables, attributes."""
    names = []
    for node in ast.walk(tree(path)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                names.append((node.lineno, name))
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.append((node.lineno, name))
    words = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
    return [(line, name) for line, name in names if RETIRED & {word.lower() for word in words.findall(name)}]


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def definitions(path: Path) -> Iterator[tuple[str, Definition]]:
    """List the public classes, functions and methods of a module, by qualified name.

    A property's setter and a further ``@overload`` share the first one's documentation.
    """

    def below(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Definition]]:
        for child in node.body:
            if not isinstance(child, Definition) or child.name.startswith("_"):
                continue
            decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in child.decorator_list}
            if decorators & {"setter", "overload"}:
                continue
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from below(child, f"{prefix}{child.name}.")

    return below(tree(path), "")


def fields(path: Path) -> Iterator[tuple[str, bool]]:
    """List the annotated public fields of a module's classes and whether each is documented.

    A field is documented by ``Field(description=…)``, by a string below it, or under its name in the
    "Attributes" section of its class's docstring.
    """
    for name, node in definitions(path):
        if not isinstance(node, ast.ClassDef):
            continue
        _, _, section = (ast.get_docstring(node) or "").partition("Attributes\n----------\n")
        listed = set(section.splitlines())
        for child, after in zip(node.body, [*node.body[1:], None], strict=True):
            if not isinstance(child, ast.AnnAssign) or not isinstance(child.target, ast.Name):
                continue
            if child.target.id.startswith("_") or "ClassVar" in ast.unparse(child.annotation):
                continue
            calls = [call for call in ast.walk(child) if isinstance(call, ast.Call)]
            described = any(keyword.arg == "description" for call in calls for keyword in call.keywords)
            text = after.value if isinstance(after, ast.Expr) else None
            below = isinstance(text, ast.Constant) and isinstance(text.value, str)
            yield f"{name}.{child.target.id}", described or below or child.target.id in listed


def undocumented(package: Path) -> list[str]:
    """List the public definitions of a package without a docstring, and undocumented fields of
    events, specs and records."""
    missing = []
    field_modules = {package / place for places in FIELDS_OF.values() for place in places}
    for path in modules(package).values():
        where = path.relative_to(package.parent).as_posix()
        missing += [f"{where}: {name}" for name, node in definitions(path) if not ast.get_docstring(node)]
        if path in field_modules:
            missing += [f"{where}: {name}" for name, documented in fields(path) if not documented]
    return missing


def public_definitions(package: Path) -> int:
    """Count what :func:`undocumented` looks at."""
    field_modules = {package / place for places in FIELDS_OF.values() for place in places}
    paths = modules(package).values()
    return sum(len([*definitions(path)]) + (path in field_modules and len([*fields(path)])) for path in paths)


def beyond_the_door(root: Path) -> Counter[str]:
    """Count imports by plugins of modules other than ``fedbench`` and ``fedbench.testing``, by module."""
    named = modules(root / "fedbench")
    reached: Counter[str] = Counter()
    for path in plugin_modules(root):
        for item in imports(path):
            inner = f"{item.module}.{item.name}"
            module = inner if inner in named else item.module
            reached[module] += module not in ("fedbench", "fedbench.testing")
    return +reached


def tracked(root: Path) -> list[Path]:
    """List the files that git tracks, as paths below ``root``."""
    listing = subprocess.run(
        ["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True, text=True
    )
    return [Path(name) for name in listing.stdout.split("\0") if name]


def lines_by_folder(root: Path) -> Counter[str]:
    """Count the lines of tracked Python files by folder, two levels deep inside fedbench/."""
    lines: Counter[str] = Counter()
    for path in tracked(root):
        if path.suffix == ".py" and (root / path).is_file():
            depth = 2 if path.parts[0] == "fedbench" and len(path.parts) > 2 else 1
            count = len((root / path).read_text(encoding="utf-8").splitlines())
            lines["/".join(path.parts[:depth]) if len(path.parts) > 1 else "."] += count
    return lines


def measure(root: Path) -> dict[str, str]:
    """Measure a checkout; the rows of the table by their names."""
    package = root / "fedbench"
    paths = modules(package).values()
    graph = import_graph(package)
    files = tracked(root)
    boards = [root / path for path in files if path.parts[0] == "leaderboards"]
    records = [path for path in boards if path.is_relative_to(root / "leaderboards" / "records")]
    longest = max((call for path in paths for call in positional_calls(path, 0)), key=lambda call: call[1])
    rows = {
        "tracked files": f"{len(files):,}",
        "leaderboards/, MB": f"{sum(path.stat().st_size for path in boards) / 1e6:.1f}",
        "leaderboards/records, MB": f"{sum(path.stat().st_size for path in records) / 1e6:.1f}",
        "circles of modules": str(len(circles(graph))),
        "modules in circles": str(sum(map(len, circles(graph)))),
        "circles of folders": str(len(circles(folder_graph(graph)))),
        "longest positional call": f"{longest[1]} ({longest[2]})",
        "calls with 6 or more positional arguments": str(sum(len(positional_calls(path)) for path in paths)),
        "# fmt: skip in fedbench/": str(sum(len(format_skips(path)) for path in paths)),
        "names with a retired word": str(sum(len(retired_names(path)) for path in paths)),
        "modules plugins import beyond the door": str(len(beyond_the_door(root))),
        "undocumented public definitions": f"{len(undocumented(package))} of {public_definitions(package)}",
    }
    return rows | {f"lines in {folder}": f"{n:,}" for folder, n in sorted(lines_by_folder(root).items())}


def main(roots: list[Path]) -> None:
    """Print a Markdown table, one column per checkout."""
    columns = [measure(root) for root in roots]
    names = sorted({name for column in columns for name in column}, key=lambda name: name.startswith("lines"))
    order = [name for column in columns for name in column]
    print("|", *(f"| {root.name}" for root in roots), "|")
    print("|---" + "|--:" * len(roots) + "|")
    for name in sorted(names, key=lambda name: (name.startswith("lines"), order.index(name))):
        print(f"| {name}", *(column.get(name, "–") for column in columns), sep=" | ", end=" |\n")


if __name__ == "__main__":
    main([Path(argument).resolve() for argument in sys.argv[1:]] or [Path(__file__).parent.parent])
