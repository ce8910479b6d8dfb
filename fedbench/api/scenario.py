"""Scenarios: what is being federated, as a frozen, versioned, fingerprinted TOML file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fedbench.api.options import first_problem, message
from fedbench.api.specs import Track
from fedbench.errors import UsageError, suggest
from fedbench.fingerprint import sha256_json

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Part(Section):
    """A registered backbone, data set or partitioner, by name, with its options.

    ``sha256`` pins the content: a run refuses anything else.
    """

    name: str
    sha256: Sha256 | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    def check(self, what: str, fingerprint: str, mend: str = "") -> None:
        """Refuse what is not the content that is pinned, if any is."""
        if self.sha256 is not None and self.sha256 != fingerprint:
            raise UsageError(
                f"{what} {self.name!r} is not the one the scenario was made with",
                why=f"its fingerprint is {fingerprint[:12]}…, expected {self.sha256[:12]}…",
                fix=mend or "reinstall the package that provides it",
            )


class Federation(Section):
    """Who takes part: ``clients`` in all, ``cohort`` of them each round; the data is seen once."""

    clients: int = Field(ge=1)
    rounds: int = Field(ge=1)
    cohort: int | None = Field(None, ge=1, description="clients per round; all when absent")

    @model_validator(mode="after")
    def _cohort_fits(self) -> Federation:
        if self.cohort is not None and self.cohort > self.clients:
            raise ValueError(f"cohort {self.cohort} is larger than clients {self.clients}")
        return self


class Training(Section):
    """Local training: of the projector, or of a client's reward model. ``schedule`` spans a round, or with
    ``one_schedule`` the run."""

    batch_size: int = Field(ge=1)
    lr: float = Field(gt=0)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "constant"] = "cosine"
    one_schedule: bool = False
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps")
    grad_norm: float | None = Field(1.0, gt=0, description="clipped per client")
    hidden: int = Field(256, ge=1, description="projector's or reward network's hidden width")


class RewardModelSpec(Section):
    """What a client judges with: a VLM with a scalar head, a dual encoder, or a cross-attention model."""

    architecture: Literal["vlm", "dual", "cross"] = "vlm"
    backbone: Part | None = Field(None, description="what it is built on; the policy's when absent")


class Rewards(Section):
    """The clients' reward models; ``[training]`` says how each is fitted."""

    models: tuple[RewardModelSpec, ...] = Field(
        (RewardModelSpec(),), min_length=1, description="one for all clients, or one for each"
    )
    epochs: int = Field(1, ge=1, description="passes over a client's own preferences")
    noise: tuple[Annotated[float, Field(ge=0, le=0.5)], ...] = Field(
        (0.0,), min_length=1, description="share of swapped preferences, for all clients or for each"
    )
    rounds: int = Field(10, ge=1, description="in which reward models are averaged, by whoever averages them")


class PolicyTraining(Section):
    """GRPO on the server's queries; every round takes ``steps`` steps."""

    steps: int = Field(ge=1, description="policy steps a round")
    queries: int = Field(8, ge=1, description="queries a step")
    group: int = Field(5, ge=2, description="answers a query, G")
    updates: int = Field(1, ge=1, description="optimiser updates on a step's answers")
    max_tokens: int = Field(12, ge=1, description="longest answer; a longer one counts as unparsed")
    temperature: float = Field(1.0, gt=0)
    lr: float = Field(1e-6, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    grad_norm: float | None = Field(1.0, gt=0)
    kl_weight: float = Field(1e-2, ge=0, description="β, of the KL to the frozen reference")
    clip_low: float = Field(0.2, gt=0)
    clip_high: float = Field(0.3, gt=0)


class Evaluation(Section):
    """What is measured: ``split/suite`` keys each round and at the end; ``primary`` adds the metric."""

    primary: str
    metrics: tuple[str, ...]
    each_round: tuple[str, ...]
    final: tuple[str, ...]
    controls: tuple[Literal["shuffled"], ...] = ()

    @model_validator(mode="after")
    def _primary_is_measured(self) -> Evaluation:
        if self.primary.rpartition("/")[0] not in self.each_round:
            raise ValueError(f"the suite of primary {self.primary!r} is not in each_round")
        return self


class Budget(Section):
    """Limits over the whole run; the engine stops at the first round that would begin beyond one."""

    examples: int | None = Field(None, ge=1)
    uplink_bytes: int | None = Field(None, ge=1)


DEPENDING = (("byzantine", "attack", "strength"), ("straggling", "late"), ("corruption", "corrupted"))
"""Rates of faults, each with what says more about it."""


class Faults(Section):
    """What goes wrong, as rates per client and round; nothing by default."""

    dropout: float = Field(0.0, ge=0, le=1, description="does not answer: nothing is trained or sent")
    straggling: float = Field(0.0, ge=0, le=1, description="trains, but its update comes late")
    late: Literal["dropped", "next-round"] = Field(
        "dropped", description="late updates are thrown away, or taken in the next round"
    )
    corruption: float = Field(0.0, ge=0, le=1, description="its update arrives as rubbish")
    corrupted: tuple[Literal["nan", "inf", "huge"], ...] = Field(("nan", "inf", "huge"), min_length=1)
    byzantine: float = Field(0.0, ge=0, lt=0.5, description="share of the clients that attack, every round")
    attack: Literal["sign-flip", "gaussian", "label-flip"] = "sign-flip"
    strength: float = Field(1.0, gt=0, description="an attack's length over the honest update's")

    @model_validator(mode="after")
    def _nothing_idle(self) -> Faults:
        for rate, *depends in DEPENDING:
            idle = sorted(self.model_fields_set & set(depends))
            if idle and not getattr(self, rate):
                raise ValueError(f"{idle[0]} says nothing without {rate}")
        return self

    def attackers(self, clients: int) -> int:
        """How many of ``clients`` attack."""
        return round(self.byzantine * clients)


PartName = Literal["backbone", "data", "partition"]


class Scenario(Section):
    """A scenario file, validated."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: int = Field(ge=1)
    track: Track
    summary: str
    backbone: Part
    data: Part
    partition: Part
    federation: Federation
    training: Training
    evaluation: Evaluation
    budget: Budget = Budget()
    faults: Faults | None = None
    rewards: Rewards | None = None
    policy: PolicyTraining | None = None

    @model_validator(mode="after")
    def _has_its_tracks_sections(self) -> Scenario:
        for key in ("rewards", "policy"):
            if (self.track == "preference") != (getattr(self, key) is not None):
                verb = "needs" if self.track == "preference" else "has no use for"
                raise ValueError(f"the {self.track} track {verb} a [{key}] section")
        for key in ("models", "noise") if self.rewards else ():
            count, clients = len(getattr(self.rewards, key)), self.federation.clients
            if count not in (1, clients):
                raise ValueError(
                    f"rewards.{key} has {count} values for {clients} clients: give 1 or {clients}"
                )
        return self

    @field_validator("faults")
    @classmethod
    def _some_attack_and_most_do_not(cls, faults: Faults | None, info: ValidationInfo) -> Faults | None:
        federation = info.data.get("federation")
        if faults and faults.byzantine and federation:
            attackers, clients = faults.attackers(federation.clients), federation.clients
            if not 0 < attackers < clients / 2:
                raise ValueError(
                    f"byzantine {faults.byzantine} makes {attackers} of {clients} clients attack"
                )
        return faults

    _folder: Path = PrivateAttr(default=Path())
    _changes: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the file lies; relative paths in it start there."""
        return self._folder

    @property
    def changes(self) -> Mapping[str, Any]:
        """What was changed of the file's values (``--set``): dotted paths to values."""
        return self._changes

    @property
    def modified(self) -> bool:
        """Whether ``--set`` changed anything; such a record is not eligible for a board."""
        return bool(self._changes)

    def changed(self, changes: Mapping[str, Any]) -> Scenario:
        """The scenario, checked anew, with ``changes`` (dotted paths to values); they add to earlier ones."""
        scenario = _changed(self.model_dump(mode="json", exclude_unset=True), changes)
        scenario._folder, scenario._changes = self._folder, {**self._changes, **changes}
        return scenario

    @property
    def title(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def parts(self) -> dict[PartName, Part]:
        return {"backbone": self.backbone, "data": self.data, "partition": self.partition}

    def check_pin(self, what: PartName, fingerprint: str) -> None:
        """Refuse a part whose content is not what the scenario pins, if it pins any."""
        mend = f"if --set is why, add --set {what}.sha256=none" if self.modified else ""
        self.parts[what].check(what, fingerprint, mend)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of everything that can change a number (not the summary)."""
        return sha256_json(self.model_dump(mode="json", exclude={"summary"}, exclude_none=True))


def load_scenario(path: Path, changes: Mapping[str, Any] | None = None) -> Scenario:
    """Read and check a scenario file; :class:`UsageError` names the line that is wrong.

    ``changes`` maps dotted paths to values, as ``--set`` does; a record of a changed scenario has no place on
    a board.

    >>> from pathlib import Path
    >>> from fedbench import load_scenario
    >>> load_scenario(Path("nowhere/hospitals.toml"))
    Traceback (most recent call last):
    fedbench.errors.UsageError: can't read the scenario in nowhere/hospitals.toml: No such file or directory
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError("can't read the scenario", where=path, why=why) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        end = f"line {len(text.splitlines())}, the end"
        why = str(error).replace("end of document", end)
        raise UsageError("the scenario is not valid TOML", where=path, why=why) from error
    try:
        scenario = Scenario.model_validate(values)
    except ValidationError as error:
        raise _explain(error, path, text) from error
    if scenario.name != path.stem:
        line = _line_of(text, ["name"])
        raise UsageError(
            f"the scenario is called {scenario.name!r}",
            where=f"{path}, line {line}",
            why="its name must be the file's",
        )
    if changes:
        scenario = _changed(values, changes)
    scenario._folder, scenario._changes = path.parent, dict(changes or {})
    return scenario


def _changed(values: dict[str, Any], changes: Mapping[str, Any]) -> Scenario:
    """A sound scenario with ``changes`` made to it; what is wrong now is the changes' fault."""
    for dotted, value in changes.items():
        _assign(values, dotted, value)
    try:
        return Scenario.model_validate(values)
    except ValidationError as error:
        what, why, fix = _problem(error)
        where = f"{'.'.join(map(str, first_problem(error)['loc']))}."
        guilty = [d for d in changes if f"{d}.".startswith(where) or where.startswith(f"{d}.")] or changes
        shown = " ".join(f"--set {dotted}={changes[dotted]}" for dotted in guilty) or "the scenario"
        raise UsageError(f"{shown}: {what}", why=why, fix=fix) from error


def _assign(values: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, key = dotted.split(".")
    if dotted in ("name", "version"):
        raise UsageError(f"--set {dotted}", why=f"a changed scenario keeps its {dotted}")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {dotted}", why=f"{section!r} is a value, not a section")
        values = inner
    values[key] = value


def _explain(error: ValidationError, path: Path, text: str) -> UsageError:
    what, why, fix = _problem(error)
    line = _line_of(text, [str(part) for part in first_problem(error)["loc"]])
    return UsageError(what, where=f"{path}, line {line}", why=why, fix=fix)


def _problem(error: ValidationError) -> tuple[str, str | None, str]:
    """The first thing that is wrong: what, why, and what to do about it."""
    problem = first_problem(error)
    location = [str(part) for part in problem["loc"]]
    dotted = ".".join(location)
    if problem["type"] == "missing":
        return f"missing key {dotted!r}", None, ""
    if problem["type"] == "extra_forbidden":
        return f"unknown key {dotted!r}", None, _known_keys(location)
    return f"bad value for {dotted!r}", message(problem), ""


def _line_of(text: str, location: list[str]) -> int:
    """The line that sets ``location``, or else the header of the closest enclosing table."""
    table: list[str] = []
    best = (0, 1)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([\w.\-]+)\s*\]", line):
            table = header[1].split(".")
            path = table
        elif key := re.match(r"\s*([\w.\-]+)\s*=", line):
            path = [*table, *key[1].split(".")]
        else:
            continue
        depth = len(path) if path == location[: len(path)] else 0
        best = max(best, (depth, number), key=lambda found: found[0])
    return best[1]


def _known_keys(location: list[str]) -> str:
    model: Any = Scenario
    for part in location[:-1]:
        if part.isdigit():  # of a list, whose kind of item the step before has found
            continue
        annotation = model.model_fields[part].annotation
        model = next((kind for kind in get_args(annotation) if kind not in (type(None), ...)), annotation)
    close = suggest(location[-1], model.model_fields)
    start = f"{close} " if close.startswith("did") else ""
    return f"{start}known keys: {', '.join(model.model_fields)}"
