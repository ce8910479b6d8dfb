"""One wheel holds the core and every part; each part also builds alone; their files agree."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

import fedbench

ROOT = Path(__file__).parent.parent
PARTS = sorted(
    folder
    for kind in ("plugins", "scenarios")
    for folder in (ROOT / kind).iterdir()
    if folder.is_dir() and not folder.name.startswith(".")
)


def read(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def name(folder):
    return folder.name


WHOLE = read(ROOT)
PROJECT = WHOLE["project"]


def wheel_packages(pyproject):
    return pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def requirements(lines):
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def licences(project):
    return set(project["license"].split(" AND "))


@pytest.mark.parametrize("part", PARTS, ids=name)
def test_a_part_agrees_with_the_whole(part):
    pyproject = read(part)
    project = pyproject["project"]
    assert project["name"] == part.name
    for key in ("version", "requires-python"):
        assert project[key] == PROJECT[key], key
    assert licences(project) <= licences(PROJECT)
    for pattern in project.get("license-files", []):
        assert list(part.glob(pattern))
        assert f"{part.relative_to(ROOT)}/{pattern}" in PROJECT["license-files"]
    for package in wheel_packages(pyproject):
        assert (part / package / "__init__.py").is_file()


@pytest.mark.parametrize("part", PARTS, ids=name)
def test_what_satisfies_the_whole_satisfies_its_parts(part):
    """The oldest versions that the whole accepts are accepted by each part; a part may need another."""
    ours = requirements(PROJECT["dependencies"])
    needed = requirements(read(part)["project"]["dependencies"])
    assert needed.pop(PROJECT["name"]), "a part depends on the core"
    for requirement in (needed[key] for key in needed.keys() - {other.name for other in PARTS}):
        (oldest,) = (s.version for s in ours[requirement.name].specifier if s.operator == ">=")
        assert requirement.specifier.contains(oldest), requirement


def test_the_whole_is_the_core_and_its_parts():
    points = {"core": "fedbench.builtins"}
    packages = {"fedbench"}
    for part in PARTS:
        pyproject = read(part)
        own = pyproject["project"]["entry-points"]["fedbench"]
        assert not own.keys() & points.keys(), f"{part.name} takes another's name"
        points |= own
        packages |= {f"{part.relative_to(ROOT)}/{package}" for package in wheel_packages(pyproject)}
    assert PROJECT["entry-points"]["fedbench"] == points
    assert sorted(wheel_packages(WHOLE)) == sorted(packages)
    assert licences(PROJECT) == set().union(*(licences(read(folder)["project"]) for folder in (ROOT, *PARTS)))


def test_the_version_is_one():
    assert fedbench.__version__ == PROJECT["version"] == version("fedbench-suite")


@pytest.mark.parametrize("part", PARTS, ids=name)
def test_a_part_with_other_peoples_work_names_every_licence(part):
    """In its NOTICE or as a text in LICENSES; "CC BY 4.0" is how Creative Commons writes CC-BY-4.0."""
    said = [path.name for path in part.glob("LICENSES/*")]
    said += [path.read_text(encoding="utf-8") for path in part.glob("NOTICE")]
    for licence in licences(read(part)["project"]) - {"Apache-2.0"}:
        assert licence.replace("-", " ") in " ".join(said).replace("-", " "), licence


@pytest.mark.skipif(not (ROOT / "constraints.txt").exists(), reason="there is no constraints.txt")
def test_every_direct_dependency_is_pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for pin in requirements(line for line in lines if line and not line.startswith("#")).values():
        (exact,) = pin.specifier
        assert exact.operator == "==", pin
        pins[pin.name.lower()] = exact.version
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    wanted += WHOLE["build-system"]["requires"]
    for requirement in map(Requirement, wanted):
        assert requirement.name in pins, f"{requirement.name} is not pinned"
        assert requirement.specifier.contains(pins[requirement.name]), requirement
    assert pins["torch"] == "2.13.0"


def build(folder, out):
    """The wheel of ``folder``, built as `python -m build` does, with what is installed here."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


def install(wheels, site):
    """Unpack wheels as pip does, without their dependencies."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    pip += ["--disable-pip-version-check", "--target", site]
    done = subprocess.run([*pip, *wheels], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr


ALONE = """
import json, sys
sys.path[:0] = json.loads(sys.argv.pop(1))
from fedbench.cli.main import main
main()
"""


def alone(sites, *arguments):
    """``fedbench …`` from these folders and this environment's packages, never from the checkout."""
    path = json.dumps([*map(str, sites), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", ALONE, path, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/")


def modules(folder, package):
    """The files of a package that belong into a wheel."""
    found = (path for path in (folder / package).rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix()
        for path in found
        if "__pycache__" not in path.parts and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def whole_wheel(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def part_wheels(tmp_path_factory):
    return {part: build(part, tmp_path_factory.mktemp(part.name)) for part in PARTS}


@pytest.fixture(scope="module")
def site(whole_wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    install([whole_wheel], folder)
    return folder


def test_the_wheel_holds_the_core_and_every_part_and_nothing_else(whole_wheel):
    expected = modules(ROOT, "fedbench")
    for part in PARTS:
        expected |= set().union(*(modules(part, package) for package in wheel_packages(read(part))))
    expected |= set(WHOLE["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].values())
    names = ZipFile(whole_wheel).namelist()
    information = f"fedbench_suite-{PROJECT['version']}.dist-info/"
    assert {file for file in names if not file.startswith(information)} == expected
    assets = (
        "emoji.parquet",
        "llm/model.safetensors",
        "vision.safetensors",
        "emoji-ii.toml",
        "easyvqa-tasks.toml",
        "tokenizer.json",
    )
    assets += ("site/templates/board.html", "site/static/site.css", "site/static/site.js")
    for asset in (*assets, "emoji.embeddings.safetensors", "SHA256SUMS.json", "py.typed"):
        assert any(file.endswith(f"/{asset}") for file in names), asset
    assert "fedbench/py.typed" in names, "the classifier says Typing :: Typed"


def test_the_wheel_holds_every_licence(whole_wheel):
    names = ZipFile(whole_wheel).namelist()
    found = {file.partition("/licenses/")[2] for file in names if "/licenses/" in file}
    expected = {
        path.relative_to(ROOT).as_posix()
        for pattern in PROJECT["license-files"]
        for path in ROOT.glob(pattern)
    }
    assert found == expected >= {"LICENSE", "NOTICE", "scenarios/fedbench-emoji/NOTICE"}


def test_the_wheel_alone_lists_every_method_and_scenario(site):
    done = alone([site], "list", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    command = [sys.executable, "-m", "fedbench", "list", "--format", "json"]
    environment = os.environ | {"PYTHONPATH": "", "FEDBENCH_DISABLE_PLUGINS": ""}
    checkout = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
    assert json.loads(done.stdout) == json.loads(checkout.stdout)
    names = {row["name"] for row in json.loads(done.stdout)}
    assert {
        "start",
        "local",
        "centralized",
        "fedavg",
        "fedprox",
        "fed-cmp",
        "emoji-ii",
        "easyvqa-tasks",
    } <= names


def test_the_wheel_alone_finds_its_own_files(site):
    (scenario,) = site.glob("fedbench_emoji/scenarios/emoji-ii.toml")
    done = alone([site], "validate", str(scenario))
    assert (done.returncode, done.stderr) == (0, "")
    code = "import fedbench, fedbench_baselines, fedbench_emoji.assets as a, fedbench_fedcmp as f\n"
    code += "print(fedbench.__file__, fedbench_baselines.__file__, a.FOLDER, f.__file__, sep='\\n')"
    script = ALONE.replace("from fedbench.cli.main import main\nmain()", code)
    path = json.dumps([str(site), sysconfig.get_path("purelib")])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(site)) for line in done.stdout.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS, ids=name)
def test_a_parts_own_wheel_holds_its_package(part, part_wheels):
    expected = set().union(*(modules(part, package) for package in wheel_packages(read(part))))
    names = ZipFile(part_wheels[part]).namelist()
    information = f"{part.name.replace('-', '_')}-{PROJECT['version']}.dist-info/"
    assert {file for file in names if not file.startswith(information)} == expected
    points = ZipFile(part_wheels[part]).read(f"{information}entry_points.txt").decode()
    for point, module in read(part)["project"]["entry-points"]["fedbench"].items():
        assert f"{point} = {module}" in points


@pytest.mark.slow
def test_parts_installed_beside_the_whole_are_loaded_once(site, part_wheels, tmp_path):
    install(part_wheels.values(), tmp_path / "parts")
    done = alone([tmp_path / "parts", site], "list", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    both, whole = (json.loads(out) for out in (done.stdout, alone([site], "list", "--format", "json").stdout))
    assert [row["name"] for row in both] == [row["name"] for row in whole]
    providers = {row["provider"] for row in both}
    assert f"baselines (fedbench-baselines {PROJECT['version']})" in providers
    plugins = json.loads(alone([tmp_path / "parts", site], "plugins", "--format", "json").stdout)
    assert sorted(row["status"] for row in plugins) == ["active"] * (1 + len(PARTS)) + ["duplicate"] * len(
        PARTS
    )


def test_the_boards_are_in_the_wheel(site):
    done = alone([site], "leaderboard", "show", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    boards = [row["board"] for row in json.loads(done.stdout)]
    assert boards == [
        "alignment-nano",
        "alignment-papers",
        "preference-nano",
        "preference-papers",
        "tuning-nano",
        "tuning-ranks-nano",
    ]


@pytest.mark.slow
def test_the_wheel_alone_builds_a_site(site, tmp_path):
    (tmp_path / "records").mkdir()
    done = alone([site], "leaderboard", "build", "preference-papers", "--records", str(tmp_path / "records"))
    assert done.returncode == 0, done.stderr
    assert "Published figures" in (tmp_path / "site/boards/preference-papers/index.html").read_text()
    assert (tmp_path / "site/assets/site.js").is_file()
