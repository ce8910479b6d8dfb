"""Plugins as pip installs them, in another folder: found, isolated, blocked, told apart, told about."""

import inspect
import json
import os
import subprocess
import sys
from dataclasses import fields
from enum import StrEnum
from importlib import invalidate_caches
from pathlib import Path

import pytest
from conftest import install_plugin

from fedbench import Options
from fedbench.api import events, hookspecs, specs
from fedbench.api.options import validated
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError, PluginError, UsageError
from fedbench.plugins import Plugins

REGISTRATION = {
    "methods": 'MethodSpec("thing", "alignment", "json:loads", "does it")',
    "scenarios": 'ScenarioSpec(Path("thing.toml"))',
    "backbones": 'BackboneSpec("thing", "json:loads", "does it")',
    "datasets": 'DatasetSpec("thing", "json:loads", "does it")',
    "partitioners": 'PartitionerSpec("thing", "json:loads", "does it")',
    "forms": 'FormSpec("thing", "json:loads", "does it", {"logp": "in nats"})',
    "metrics": 'MetricSpec("thing", "json:loads", "does it", "caption", ("nll",))',
    "leaderboards": 'LeaderboardSpec(Path("thing.toml"))',
    "publishers": 'PublisherSpec("thing", "json:loads", "does it")',
}
OBSERVATION = {
    hook: kind(**{field.name: field.name for field in fields(kind)})
    for hook, kind in {
        "run_start": events.RunStart,
        "round_end": events.RoundEnd,
        "policy_step": events.PolicyStep,
        "run_end": events.RunEnd,
        "run_error": events.RunError,
    }.items()
}
HOOKS = {name for name in vars(hookspecs) if name.startswith("fedbench_")}


def hooks(body):
    """The text of a hooks module."""
    imports = "from pathlib import Path\nfrom fedbench import hookimpl\nfrom fedbench.api.specs import *"
    return f"{imports}\n\n{body}\n"


def methods(*names, extra=""):
    """A hooks module that registers methods."""
    lines = [f'    yield MethodSpec("{name}", "alignment", "json:loads", "made up")' for name in names]
    return hooks("\n".join(["@hookimpl", "def fedbench_register_methods():", *lines, extra]))


def provides(hook, spec):
    return hooks(f"@hookimpl\ndef fedbench_register_{hook}():\n    {spec}\n")


@pytest.fixture
def site(tmp_path):
    """A folder of installed distributions."""
    return tmp_path / "site"


@pytest.fixture
def fedbench(site, tmp_path):
    """``fedbench("list", …)`` as a command, with the site on its path."""

    def run(*arguments, disable=""):
        environment = os.environ | {
            "PYTHONPATH": str(site),
            "FEDBENCH_DISABLE_PLUGINS": disable,
            "PYTHONWARNINGS": "error",
        }
        return subprocess.run(
            [sys.executable, "-m", "fedbench", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run


@pytest.fixture
def installed(site, monkeypatch):
    """Plugins of the site in this process: ``installed({"dist": {file: text}}, strict=…, …)``."""

    def install(distributions, **settings):
        for name, files in distributions.items():
            install_plugin(site, name, files)
        monkeypatch.syspath_prepend(str(site))
        invalidate_caches()
        return Plugins(**settings)

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if str(site.parent) in str(vars(sys.modules[name]).get("__file__")):
            del sys.modules[name]


def listed(done, kind="method"):
    return {row["name"] for row in json.loads(done.stdout) if row["kind"] == kind}


def test_a_plugin_from_another_folder_is_listed(site, fedbench):
    install_plugin(site, "my-plugin", {"hooks.py": methods("mine")}, version="2.5")
    done = fedbench("list", "--format", "json")
    assert done.returncode == 0 and not done.stderr
    assert {"mine", "fedavg"} <= listed(done)
    (row,) = (row for row in json.loads(done.stdout) if row["name"] == "mine")
    assert row["provider"] == "my-plugin (my-plugin 2.5)"


BROKEN = {
    "import error": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "syntax error": ("def", "SyntaxError"),
    "exits on import": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "mistyped hook": (
        hooks("@hookimpl\ndef fedbench_register_method():\n    return []"),
        "no hook fedbench_register_method, did you mean 'fedbench_register_methods'?",
    ),
    "wrong arguments": (
        hooks("@hookimpl\ndef fedbench_register_methods(catalog):\n    return []"),
        "Argument(s) {'catalog'} are declared in the hookimpl but can not be found in the hookspec",
    ),
    "raises": (provides("methods", "raise RuntimeError('two\\nlines')"), "RuntimeError: two lines"),
    "raises late": (methods("fine", extra="    raise RuntimeError('late')"), "RuntimeError: late"),
    "wrong type": (
        provides("methods", "return ['fedavg']"),
        "fedbench_register_methods must give MethodSpec, not str",
    ),
    "no iterable": (provides("methods", f"return {REGISTRATION['methods']}"), "'MethodSpec' object"),
    "bad name": (methods("../up"), "'../up' is not a name"),
    "name twice": (methods("same", "same"), "gives 'same' twice"),
    "path as text": (provides("scenarios", "yield ScenarioSpec('a.toml')"), "AttributeError: 'str' object"),
    "no hook": ("x = 1", "it implements no hook (is @hookimpl missing?)"),
    "exits when asked": (provides("methods", "import sys; sys.exit()"), "SystemExit"),
    "unknown track": (
        provides("methods", 'yield MethodSpec("thing", "aligment", "json:loads", "x")'),
        "'thing': there is no track 'aligment', did you mean 'alignment'?",
    ),
    "options that are no model": (
        provides("methods", 'yield MethodSpec("thing", "alignment", "json:loads", "x", options=dict)'),
        "'thing': its options are dict, not a subclass of fedbench.Options",
    ),
    "options that are not there": (
        provides("datasets", 'yield DatasetSpec("thing", "json:loads", "x", options="gone:Options")'),
        "'thing': it points at gone:Options, and there is no module 'gone'",
    ),
    "a factory that is not there": (
        provides("backbones", 'yield BackboneSpec("thing", "broken_one.gone:make", "x")'),
        "'thing': it points at broken_one.gone:make, and there is no module 'broken_one.gone'",
    ),
    "a factory without a colon": (
        provides("partitioners", 'yield PartitionerSpec("thing", "json.loads", "x")'),
        "'thing': it points at 'json.loads', which is not of the form 'module:attribute'",
    ),
    "a factory that is no text": (
        provides("methods", 'yield MethodSpec("thing", "alignment", Path, "x")'),
        "'thing': it points at Path, which is not of the form 'module:attribute'",
    ),
    "unknown form": (
        provides("metrics", 'yield MetricSpec("thing", "json:loads", "x", "chioce", ("accuracy",))'),
        "'thing': there is no form 'chioce', did you mean 'choice'?",
    ),
    "a form without columns": (
        provides("forms", 'yield FormSpec("thing", "json:loads", "x", {})'),
        "'thing': its columns are {}, not what each is by name",
    ),
    "a column that is every form's": (
        provides("forms", 'yield FormSpec("thing", "json:loads", "x", {"group": "the concept"})'),
        "'thing': its column 'group' is what every form has",
    ),
    "a column that is no name": (
        provides("forms", 'yield FormSpec("thing", "json:loads", "x", {"a box": "where"})'),
        "'thing': its column 'a box' can't be an argument of a metric",
    ),
    "values that are one text": (
        provides("metrics", 'yield MetricSpec("thing", "json:loads", "x", "choice", ("accuracy"))'),
        "'thing': its values are 'accuracy', not a tuple of names",
    ),
}


LISTED = ("methods", "scenarios", "backbones", "datasets", "partitioners", "forms", "metrics")


@pytest.mark.parametrize(("text", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_one_line_and_stops_nobody(site, fedbench, text, reason):
    install_plugin(site, "broken-one", {"hooks.py": text}, version="3.1")
    install_plugin(site, "zzz-after", {"hooks.py": methods("after")})
    done = fedbench("list", *LISTED, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert {"after", "fedavg"} <= listed(done) and "fine" not in listed(done)
    assert "emoji-ii" in listed(done, "scenario")
    (line,) = done.stderr.splitlines()
    assert line.startswith("fedbench: plugin broken-one:broken-one 3.1: left out: ")
    assert reason in line and "`fedbench -p no:broken-one …`" in line


def test_strict_plugins_makes_it_exit_3(site, fedbench):
    install_plugin(site, "broken-one", {"hooks.py": "import no_such_module"})
    done = fedbench("--strict-plugins", "list")
    assert done.returncode == 3 and not done.stdout
    assert len(done.stderr.splitlines()) == 1 and "broken-one" in done.stderr


def test_a_broken_scenario_file_does_not_stop_the_list(site, fedbench):
    text = provides("scenarios", "yield ScenarioSpec(Path(__file__).parent / 'torn.toml')")
    install_plugin(site, "torn-one", {"hooks.py": text, "torn.toml": "name = 'torn'\n"})
    done = fedbench("list", "--format", "json")
    assert done.returncode == 0 and "emoji-ii" in listed(done, "scenario")
    (line,) = done.stderr.splitlines()
    assert "plugin torn-one:torn-one 1.0: scenario 'torn' left out: missing key 'backbone' in" in line
    assert fedbench("--strict-plugins", "list").returncode == 3


BLOCKS = {
    "name": {"arguments": ["-p", "no:broken-one"]},
    "key": {"arguments": ["-p", "no:broken-one:broken-one"]},
    "environment": {"disable": "broken-one"},
    "environment, several": {"disable": " fedcmp, broken-one:broken-one ,"},
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_blocking_is_silent_and_blocked_code_is_not_imported(site, fedbench, tmp_path, block):
    text = f"open({str(tmp_path / 'imported')!r}, 'w')"
    install_plugin(site, "broken-one", {"hooks.py": text})
    disable = block.get("disable", "")
    done = fedbench(*block.get("arguments", ()), "list", "--format", "json", disable=disable)
    assert done.returncode == 0 and not done.stderr
    assert not (tmp_path / "imported").exists()
    assert ("fed-cmp" in listed(done)) is ("fedcmp" not in disable)


@pytest.mark.parametrize("how", [{"disable": "emojy"}, {}], ids=["environment", "option"])
def test_blocking_an_unknown_plugin_is_a_usage_error(fedbench, how):
    done = fedbench(*([] if how else ["-p", "no:emojy"]), "list", **how)
    assert done.returncode == 2 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert "no plugin 'emojy' to block" in line and "did you mean 'emoji'?" in line
    assert ("FEDBENCH_DISABLE_PLUGINS" in line) is bool(how)


def test_plugins_says_what_became_of_each(site, fedbench):
    install_plugin(site, "a-good", {"hooks.py": methods("good")})
    install_plugin(site, "b-bad", {"hooks.py": "import no_such_module"})
    install_plugin(site, "c-rubbish", {"hooks.py": provides("publishers", "yield 1")})
    done = fedbench("-p", "no:fedcmp", "plugins", "--format", "json")
    assert done.returncode == 0
    found = {row["plugin"]: row for row in json.loads(done.stdout)}
    assert list(found) == sorted(found)
    status = {key.partition(":")[2]: row["status"] for key, row in found.items()}
    assert {"a-good": "active", "b-bad": "broken", "c-rubbish": "broken"}.items() <= status.items()
    assert {"core": "active", "baselines": "active", "fedcmp": "blocked"}.items() <= status.items()
    assert found["a-good:a-good"]["hooks"] == "register_methods"
    assert "no_such_module" in found["b-bad:b-bad"]["problem"]
    assert "PublisherSpec" in found["c-rubbish:c-rubbish"]["problem"]


def test_two_providers_of_one_name_clash_only_when_the_short_name_is_used(site, fedbench):
    install_plugin(site, "other-one", {"hooks.py": methods("fedavg")})
    done = fedbench("list", "methods", "--format", "json")
    assert done.returncode == 0 and not done.stderr
    assert [row["name"] for row in json.loads(done.stdout)].count("fedavg") == 2
    clash = fedbench("show", "method", "fedavg")
    assert clash.returncode == 2
    (line,) = clash.stderr.splitlines()
    assert "several plugins provide method 'fedavg'" in line
    assert "fedbench-suite:baselines/fedavg" in line and "other-one:other-one/fedavg" in line
    for name, provider in {
        "baselines/fedavg": "fedbench-suite:baselines",
        "other-one/fedavg": "other-one:other-one",
        "other-one:other-one/fedavg": "other-one:other-one",
    }.items():
        shown = fedbench("show", "method", name, "--format", "json")
        assert json.loads(shown.stdout)["provider"] == provider


def test_unknown_names_get_a_suggestion_or_the_list():
    shelf = Catalog(Plugins()).methods
    with pytest.raises(UsageError, match=r"unknown method 'fedagv' — did you mean 'fedavg'\?"):
        shelf["fedagv"]
    with pytest.raises(UsageError, match=r"unknown method 'baselines/fedagv' — did you mean 'fedavg'\?"):
        shelf["baselines/fedagv"]
    with pytest.raises(UsageError, match=r"unknown method 'qqq' — there are: .*fedavg, .*fedprox"):
        shelf["qqq"]


def test_the_same_module_through_two_distributions_is_loaded_once(installed, site):
    metadata = site / "b_again-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: b-again\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fedbench]\nb-again = a_first.hooks\n")
    said = []
    plugins = installed({"a-first": {"hooks.py": methods("once")}}, warn=said.append)
    status = {plugin.key: plugin.status for plugin in plugins.all}
    assert status["a-first:a-first"] == "active" and status["b-again:b-again"] == "duplicate"
    assert not said and Catalog(plugins).methods["once"].plugin.key == "a-first:a-first"
    plugins = Plugins(blocked=["a-first:a-first"], warn=said.append)
    assert Catalog(plugins).methods["once"].plugin.key == "b-again:b-again", "blocked is not loaded"
    assert not said


def test_plugins_come_in_one_order_whatever_the_path(installed, tmp_path, monkeypatch):
    names = ["b-two", "c-three", "a-one"]
    for name in names:
        install_plugin(tmp_path / name, name, {"hooks.py": methods("same-name")})
        monkeypatch.syspath_prepend(str(tmp_path / name))
    plugins = installed({"d-four": {"hooks.py": methods("same-name")}})
    found = [plugin.key for plugin in plugins.all]
    assert found == sorted(found)
    collected = plugins.collect("fedbench_register_methods", specs.MethodSpec)
    providers = [plugin.name for spec, plugin in collected if spec.name == "same-name"]
    assert providers == ["a-one", "b-two", "c-three", "d-four"]


def test_every_hook_is_documented_and_covered_here():
    covered = {f"fedbench_register_{name}" for name in REGISTRATION} | {f"fedbench_{n}" for n in OBSERVATION}
    assert covered | {"fedbench_register_commands"} == HOOKS
    for name in HOOKS:
        hook = vars(hookspecs)[name]
        assert inspect.getdoc(hook), name
        parameters = list(inspect.signature(hook).parameters)
        is_registration = name.removeprefix("fedbench_register_") in REGISTRATION
        assert parameters == ([] if is_registration else ["cli" if name.endswith("commands") else "event"])


@pytest.mark.parametrize("hook", REGISTRATION)
def test_every_registration_hook_is_collected(installed, hook):
    text = provides(hook, f"yield {REGISTRATION[hook]}")
    catalog = Catalog(installed({"one-hook": {"hooks.py": text}}, strict=True))
    shelves = {name: getattr(catalog, name) for name in REGISTRATION}
    found = {
        name: [entry.name for entry in shelf.entries if entry.plugin.name == "one-hook"]
        for name, shelf in shelves.items()
    }
    assert found == {name: ["thing"] if name == hook else [] for name in REGISTRATION}
    assert shelves[hook]["one-hook/thing"].qualified == "one-hook/thing"


@pytest.mark.parametrize("hook", OBSERVATION)
def test_a_failing_observer_is_named_and_the_others_still_hear(installed, hook):
    name, event = f"fedbench_{hook}", OBSERVATION[hook]
    deaf = hooks(f"@hookimpl\ndef {name}(event):\n    raise RuntimeError('deaf')")
    good = hooks(f"heard = []\n\n@hookimpl\ndef {name}(event):\n    heard.append(event)")
    said = []
    plugins = installed(
        {"a-deaf": {"hooks.py": deaf}, "b-good": {"hooks.py": good}, "c-good": {"hooks.py": good}},
        warn=said.append,
    )
    plugins.emit(name, event)
    assert sys.modules["b_good.hooks"].heard == sys.modules["c_good.hooks"].heard == [event]
    (line,) = said
    assert line.startswith(f"plugin a-deaf:a-deaf 1.0: {name} failed: RuntimeError: deaf")
    plugins.emit(name, event)
    assert len(said) == 2, "an observer that fails once may hear the next event"
    with pytest.raises(PluginError, match="a-deaf"):
        Plugins(strict=True).emit(name, event)


@pytest.mark.parametrize("event", OBSERVATION.values(), ids=OBSERVATION.keys())
def test_events_are_frozen(event):
    with pytest.raises(AttributeError):
        event.seed = 1


COMMAND = hooks("""
import click

@hookimpl
def fedbench_register_commands(cli):
    @cli.command("greet")
    @click.argument("whom")
    def greet(whom):
        "Say hello."
        click.echo(f"hello {whom}")
        return "not an exit code"
""")


def test_a_plugin_adds_a_working_command(site, fedbench):
    install_plugin(site, "greeter", {"hooks.py": COMMAND})
    done = fedbench("greet", "you")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello you\n", "")
    assert "Say hello." in fedbench("--help").stdout
    assert "Say hello." in fedbench().stdout
    gone = fedbench("-p", "no:greeter", "greet", "you")
    assert gone.returncode == 2 and "unknown command 'greet'" in gone.stderr


def test_a_plugin_that_fails_to_add_its_command_is_one_line(site, fedbench):
    text = hooks("@hookimpl\ndef fedbench_register_commands(cli):\n    raise RuntimeError('no')")
    install_plugin(site, "greeter", {"hooks.py": text})
    done = fedbench("--help")
    assert done.returncode == 0 and "validate" in done.stdout
    (line,) = done.stderr.splitlines()
    assert "plugin greeter:greeter 1.0: fedbench_register_commands failed: RuntimeError: no" in line


UNLOADABLE = {
    "no attribute": ("lazy_one.real:Nope", "has no attribute 'Nope'"),
    "fails on import": ("lazy_one.torn:Method", "NameError"),
    "fails when made": ("lazy_one.real:Method", "ValueError: never today"),
}


@pytest.mark.parametrize(("factory", "reason"), UNLOADABLE.values(), ids=UNLOADABLE.keys())
def test_a_factory_is_resolved_late_and_its_failure_names_the_plugin(installed, factory, reason):
    files = {
        "hooks.py": provides("methods", f'yield MethodSpec("lazy", "alignment", "{factory}", "")'),
        "real.py": "def Method(options):\n    raise ValueError('never today')",
        "torn.py": "undefined_name",
    }
    entry = Catalog(installed({"lazy-one": files}, strict=True)).methods["lazy"]
    assert "lazy_one.real" not in sys.modules
    with pytest.raises(FedbenchError, match="plugin lazy-one:lazy-one") as raised:
        entry.create(specs.Options())
    assert reason in str(raised.value)


def test_options_may_be_lazy_too(installed):
    spec = 'yield MethodSpec("lazy", "alignment", "json:loads", "", options="lazy_one.options:MyOptions")'
    files = {
        "hooks.py": provides("methods", spec),
        "options.py": "from fedbench import Options\nclass MyOptions(Options):\n    mu: float = 0.5",
    }
    entry = Catalog(installed({"lazy-one": files}, strict=True)).methods["lazy"]
    assert entry.options().mu == 0.5


class Kind(StrEnum):
    plain = "plain"
    odd = "odd"


class OfEveryKind(Options):
    betas: tuple[float, float] = (0.9, 0.99)
    kind: Kind = Kind.plain
    where: Path = Path("here")
    steps: int = 1


def test_options_of_every_kind_are_set_and_read_back_from_a_record():
    given = {"betas": [0.5, 1], "kind": "odd", "where": "there"}
    made = validated(OfEveryKind, given, "method 'm'")
    assert (made.betas, made.kind, made.where) == ((0.5, 1.0), Kind.odd, Path("there"))
    assert validated(OfEveryKind, made.model_dump(mode="json"), "method 'm'") == made
    for wrong in ({"steps": "1"}, {"steps": 1.0}, {"betas": [1.0]}, {"kind": "none"}):
        with pytest.raises(UsageError, match="bad value"):
            validated(OfEveryKind, wrong, "method 'm'")


def test_plugins_names_a_factory_that_its_module_does_not_define_and_imports_nothing(site, fedbench):
    """`list` sees that the module is there; `plugins` reads its source as well."""
    text = provides("methods", 'yield MethodSpec("thing", "alignment", "half_one.method:Methd", "x")')
    install_plugin(site, "half-one", {"hooks.py": text, "method.py": "import torch\nclass Method: ..."})
    assert "thing" in listed(fedbench("list", "--format", "json"))
    done = fedbench("plugins", "--format", "json")
    (row,) = (row for row in json.loads(done.stdout) if row["plugin"] == "half-one:half-one")
    why = "it points at half_one.method:Methd, and half_one.method has no 'Methd', did you mean 'Method'?"
    assert row["status"] == "broken" and why in row["problem"]
    assert why in done.stderr and len(done.stderr.splitlines()) == 1


NOISY = """
import os, sys
print("hello from Python")
os.system("echo hello from a child")
"""


@pytest.mark.parametrize(
    "text",
    [
        NOISY + methods("loud"),
        methods(
            "loud", extra="    print('hello from Python'); import os; os.system('echo hello from a child')"
        ),
    ],
    ids=["at import", "when asked"],
)
def test_what_a_plugin_prints_goes_to_stderr(site, fedbench, text):
    install_plugin(site, "loud-one", {"hooks.py": text})
    done = fedbench("list", "--format", "json")
    assert "loud" in listed(done) and done.returncode == 0
    assert "hello from Python" in done.stderr and "hello from a child" in done.stderr


@pytest.mark.parametrize("hook", ["importing it", "fedbench_register_methods"])
def test_a_plugin_that_takes_long_is_named_while_it_does(installed, monkeypatch, hook):
    monkeypatch.setattr("fedbench.plugins.SLOW_SECONDS", 0.1)
    slow = "import time; time.sleep(0.4)"
    text = f"{slow}\n{methods('late')}" if hook == "importing it" else methods("late", extra=f"    {slow}")
    said = []
    plugins = installed({"slow-one": {"hooks.py": text}}, warn=said.append)
    assert plugins.collect("fedbench_register_methods", specs.MethodSpec)
    (line,) = said
    assert line == (
        f"plugin slow-one:slow-one 1.0: {hook} has taken 0.1 s so far"
        " — block it with `fedbench -p no:slow-one …`"
    )


STATE = """
import os, random, sys
os.environ["SPOILT"] = "1"
os.environ.pop("KEPT", None)
os.chdir("/")
random.seed(0)
sys.setrecursionlimit(12345)
"""


def test_a_plugin_changes_no_state_of_the_process(installed, monkeypatch, tmp_path):
    monkeypatch.setenv("KEPT", "yes")
    monkeypatch.chdir(tmp_path)
    before, limit, said = os.environ.copy(), sys.getrecursionlimit(), []
    installed({"rude-one": {"hooks.py": STATE + methods("rude")}}, warn=said.append)
    assert os.environ.copy() == before and Path.cwd() == tmp_path and sys.getrecursionlimit() == limit
    (line,) = said
    assert line == (
        f"plugin rude-one:rude-one 1.0: importing it changed the working directory ({tmp_path} → /),"
        f" Python's random numbers, the recursion limit ({limit} → 12345), the environment (KEPT, SPOILT),"
        " which is restored"
    )


def test_a_distribution_without_a_name_is_loaded_as_unknown(site, fedbench):
    install_plugin(site, "nameless", {"hooks.py": methods("fine")})
    (site / "nameless-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")
    done = fedbench("list", "--format", "json")
    assert done.returncode == 0 and "fine" in listed(done) and "Traceback" not in done.stderr
