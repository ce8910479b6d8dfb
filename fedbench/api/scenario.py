"""Scenarios: what is being federated, as a frozen, versioned, fingerprinted TOML file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
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
Rank = Annotated[int, Field(ge=1)]


def _each(value: Any) -> Any:
    """A list as a tuple, a number as a tuple of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


class Section(BaseModel):
    """A table of a scenario file: frozen, and refusing unknown keys, infinity, NaN, other kinds of values:
    ``true`` is no number, and ``"3"`` neither."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Part(Section):
    """A registered backbone, data set or partitioner, by name, with its options.

    ``sha256`` pins the content: a run refuses anything else. ``files`` says where its files lie, apart from
    the other options: they may be moved, and the scenario stays the same.
    """

    name: str = Field(
        description="name in the catalog, with its plugin where several have it: name or plugin/name"
    )
    sha256: Sha256 | None = Field(None, description="fingerprint that the content must have; any when absent")
    options: dict[str, Any] = Field(
        default_factory=dict, description="values of the part's own options; their defaults when absent"
    )
    files: dict[str, str] = Field(
        default_factory=dict,
        description="where the part's files lie, by option: a path from the scenario's file on, an absolute"
        " one, or the id of a repository on the Hub; no part of the fingerprint",
    )

    def check(self, what: str, fingerprint: str, mend: str = "") -> None:
        """Refuse content whose sha256 ``fingerprint`` is not the pinned one, if one is pinned.

        ``what`` names the part in the error, ``mend`` says what to do about it.
        """
        if self.sha256 is not None and self.sha256 != fingerprint:
            raise UsageError(
                f"{what} {self.name!r} is not the one the scenario was made with",
                why=f"its fingerprint is {fingerprint[:12]}…, expected {self.sha256[:12]}…",
                fix=mend or "reinstall the package that provides it",
            )


Speed = Annotated[float, Field(gt=0, le=1)]

FULL_SPEED: tuple[Speed, ...] = (1.0,)
"""Every client does all steps of its rounds."""


class Federation(Section):
    """The section ``[federation]``: how many clients there are, how many rounds, and how much a client does
    in one.

    A client sees each of its examples once, spread over the rounds it takes part in, if ``epochs`` is absent.
    """

    clients: int = Field(ge=1, description="number of clients, K")
    rounds: int = Field(10, ge=1, description="number of rounds, R")
    cohort: int | None = Field(None, ge=1, description="clients per round; all when absent")
    epochs: int | None = Field(
        None,
        ge=1,
        description="passes over a client's whole shard in every round; one pass over the run when absent",
    )
    speed: Annotated[tuple[Speed, ...], BeforeValidator(_each)] = Field(
        FULL_SPEED,
        min_length=1,
        exclude_if=lambda speed: speed == FULL_SPEED,
        description="share of its steps that a client manages in a round, at least one step: one number for"
        " all clients, or one for each",
    )

    @model_validator(mode="after")
    def _fits_the_clients(self) -> Federation:
        if self.cohort is not None and self.cohort > self.clients:
            raise ValueError(f"cohort {self.cohort} is larger than clients {self.clients}")
        if len(self.speed) not in (1, self.clients):
            raise ValueError(
                f"speed has {len(self.speed)} values for {self.clients} clients: give 1 or {self.clients}"
            )
        return self


class LoraSettings(Section):
    """The section ``[training.lora]``: low-rank adapters (arXiv 2106.09685) of the frozen LLM's linears."""

    rank: Rank | Annotated[tuple[Rank, ...], Field(min_length=1)] = Field(
        8, description="rank r of the adapters: one for all clients, or one for each"
    )
    alpha: float = Field(
        16.0, gt=0, description="α: an adapter's product is scaled by α over the largest rank"
    )
    targets: tuple[str, ...] = Field(
        ("all-linear",),
        min_length=1,
        description="which linears: the ends of their paths in the LLM, or all-linear",
    )

    @property
    def largest_rank(self) -> int:
        """The largest rank of any client."""
        return self.rank if isinstance(self.rank, int) else max(self.rank)

    @property
    def ranks(self) -> tuple[int, ...]:
        """Each client's rank where they differ; empty where all have the same."""
        ranks = () if isinstance(self.rank, int) else self.rank
        return ranks if len(set(ranks)) > 1 else ()


Trainable = Literal["projector", "lora", "projector+lora"]
Connector = Literal["mlp2", "linear", "resampler", "backbone"]


class Training(Section):
    """The section ``[training]``: a client's local training of the projector, of adapters of the LLM, or of
    its reward model."""

    trainable: Trainable = Field(
        "projector",
        exclude_if=lambda trainable: trainable == "projector",
        description="what clients train: the projector, LoRA adapters of the LLM, or both",
    )
    lora: LoraSettings | None = Field(None, description="the adapters; needed where lora is trained")
    connector: Connector = Field(
        "mlp2",
        exclude_if=lambda connector: connector == "mlp2",
        description="the projector's kind: two linears with a GELU between them, one linear, a resampler with"
        " learnt queries, or the backbone's own",
    )

    batch_size: int = Field(16, ge=1, description="examples per step and client")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="local optimiser, new in every round")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    betas: tuple[float, float] = Field((0.9, 0.999), description="AdamW's moment decay rates")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="course of the learning rate after warm-up"
    )
    one_schedule: bool = Field(False, description="whether the schedule spans the run instead of each round")
    warmup: float = Field(
        0.03, ge=0, lt=1, description="share of the schedule's steps with a rising learning rate"
    )
    grad_norm: float | None = Field(
        1.0,
        gt=0,
        description="largest gradient norm of a client's step; longer ones are clipped, none when null",
    )
    hidden: int = Field(
        256, ge=1, description="hidden width of the projector or of the reward model's network"
    )

    @property
    def trains_projector(self) -> bool:
        """Whether clients train the projector."""
        return self.trainable != "lora"

    @property
    def trains_lora(self) -> bool:
        """Whether clients train adapters of the LLM."""
        return self.trainable != "projector"

    @model_validator(mode="after")
    def _adapters_are_described(self) -> Training:
        if self.trains_lora and self.lora is None:
            raise ValueError(f"trainable {self.trainable!r} needs a [training.lora] section")
        if not self.trains_lora and self.lora is not None:
            raise ValueError(
                "lora says nothing where trainable is 'projector': name 'lora' or 'projector+lora'"
            )
        return self


class RewardModelSpec(Section):
    """An entry of ``[[rewards.models]]``: the kind of reward model that a client has."""

    architecture: Literal["vlm", "dual", "cross"] = Field(
        "vlm", description="a VLM with a scalar head, a dual encoder, or a cross-attention model"
    )
    backbone: Part | None = Field(None, description="backbone that it is built on; the policy's when absent")


class Rewards(Section):
    """The section ``[rewards]`` of the preference track: the clients' reward models, fitted as
    ``[training]`` says."""

    models: tuple[RewardModelSpec, ...] = Field(
        (RewardModelSpec(),), min_length=1, description="reward models: one for all clients, or one for each"
    )
    epochs: int = Field(1, ge=1, description="passes over a client's own preferences")
    noise: tuple[Annotated[float, Field(ge=0, le=0.5)], ...] = Field(
        (0.0,), min_length=1, description="share of swapped preferences: one for all clients, or one for each"
    )
    rounds: int = Field(
        10, ge=1, description="rounds in which a method that averages reward models averages them"
    )


class PolicyTraining(Section):
    """The section ``[policy]`` of the preference track: GRPO (DeepSeekMath, arXiv 2402.03300) on the
    server's queries."""

    steps: int = Field(10, ge=1, description="policy steps per round")
    queries: int = Field(8, ge=1, description="queries per step")
    group: int = Field(5, ge=2, description="answers per query, G")
    updates: int = Field(1, ge=1, description="optimiser updates on each step's answers")
    max_tokens: int = Field(12, ge=1, description="longest answer in tokens; a longer one counts as unparsed")
    temperature: float = Field(1.0, gt=0, description="sampling temperature of the answers")
    lr: float = Field(1e-6, gt=0, description="AdamW's learning rate")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    grad_norm: float | None = Field(
        1.0, gt=0, description="largest gradient norm; longer ones are clipped, none when null"
    )
    kl_weight: float = Field(
        1e-2, ge=0, description="β, weight of the KL divergence from the frozen reference"
    )
    clip_low: float = Field(0.2, gt=0, description="ε below: the importance ratio is clipped at 1 − ε")
    clip_high: float = Field(0.3, gt=0, description="ε above: the importance ratio is clipped at 1 + ε")


class Evaluation(Section):
    """The section ``[evaluation]``: which suites are measured, when, and by which metrics.

    What is absent follows from the suites that the data set says it has, once the scenario is resolved.
    """

    primary: str = Field(
        "",
        description="the measure that records are ranked by, split/suite/value; when absent the first of each"
        " round's first suite",
    )
    metrics: tuple[str, ...] = Field(
        (),
        description="names of metrics; each scores the suites of its form; when absent each form's own",
    )
    each_round: tuple[str, ...] = Field(
        (),
        description="suites measured at the start and after every round, split/suite; when absent primary's,"
        " or else the first",
    )
    final: tuple[str, ...] = Field(
        (), description="suites measured after the last round, split/suite; all when absent"
    )
    controls: tuple[Literal["shuffled"], ...] = Field(
        (), description="measurements with a part of the input taken away: images of another concept"
    )

    @property
    def complete(self) -> bool:
        """Whether nothing has to follow from the data set."""
        return set(type(self).model_fields) - {"controls"} <= self.model_fields_set

    @model_validator(mode="after")
    def _primary_is_measured(self) -> Evaluation:
        given = {"primary", "each_round"} <= self.model_fields_set
        if given and self.primary.rpartition("/")[0] not in self.each_round:
            raise ValueError(f"the suite of primary {self.primary!r} is not in each_round")
        return self


class Start(Section):
    """The section ``[start]``: a trained model that clients begin with (``fedbench run --from``)."""

    sha256: Sha256 = Field(description="hash of the model's files")
    files: dict[Literal["path"], str] = Field(
        description="the model's folder, from the scenario's file on, or an absolute path; no part of the"
        " fingerprint"
    )


class Budget(Section):
    """The section ``[budget]``: limits over the whole run.

    The engine stops before the first round that could go beyond one.
    """

    examples: int | None = Field(None, ge=1, description="training examples seen by all clients together")
    uplink_bytes: int | None = Field(None, ge=1, description="bytes sent by all clients together")


DEPENDING = (("byzantine", "attack", "strength"), ("straggling", "late"), ("corruption", "corrupted"))
"""Rates of faults, each with the fields that have a meaning only beside it."""


class Faults(Section):
    """The section ``[faults]``: what goes wrong, as rates per client and round; nothing by default."""

    dropout: float = Field(
        0.0, ge=0, le=1, description="rate of clients that do not answer: nothing is trained or sent"
    )
    straggling: float = Field(
        0.0, ge=0, le=1, description="rate of clients that train but whose update comes late"
    )
    late: Literal["dropped", "next-round"] = Field(
        "dropped", description="what becomes of late updates: dropped, or used in the next round"
    )
    corruption: float = Field(0.0, ge=0, le=1, description="rate of updates that arrive damaged")
    corrupted: tuple[Literal["nan", "inf", "huge"], ...] = Field(
        ("nan", "inf", "huge"),
        min_length=1,
        description="kinds of damage, drawn at random: entries become NaN, infinite or huge",
    )
    byzantine: float = Field(
        0.0, ge=0, lt=0.5, description="share of the clients that attack, the same ones in every round"
    )
    attack: Literal["sign-flip", "gaussian", "label-flip"] = Field(
        "sign-flip", description="opposite of the update, Gaussian noise, or training on wrong answers"
    )
    strength: float = Field(1.0, gt=0, description="length of an attack's update over that of the honest one")

    @model_validator(mode="after")
    def _nothing_idle(self) -> Faults:
        for rate, *depends in DEPENDING:
            idle = sorted(self.model_fields_set & set(depends))
            if idle and not getattr(self, rate):
                raise ValueError(f"{idle[0]} says nothing without {rate}")
        return self

    def attackers(self, clients: int) -> int:
        """Count the attacking clients among ``clients``."""
        return round(self.byzantine * clients)


MODALITIES = ("image_text", "image_only", "text_only")
"""What a client may have, as ``[modality]`` counts it."""

Rate = Annotated[float, Field(ge=0, le=1)]


class Modality(Section):
    """The section ``[modality]``: who lacks images or texts, as numbers of clients or as rates of examples.

    An example without its image is its prompt and answer; one without its text has an empty prompt, and its
    answer stays. Which clients or examples they are depends on ``seed``, not on the run's; items that are
    evaluated keep both.
    """

    image_text: int | None = Field(None, ge=0, description="number of clients with images and texts")
    image_only: int | None = Field(None, ge=0, description="number of clients without texts")
    text_only: int | None = Field(None, ge=0, description="number of clients without images")
    missing_images: Rate | None = Field(None, description="rate of training examples without their image")
    missing_texts: Rate | None = Field(
        None, description="rate of training examples without their text; none lacks both"
    )
    seed: int = Field(0, description="seed of the draw of who, or which examples, lack something")

    @model_validator(mode="after")
    def _one_kind(self) -> Modality:
        given = self.model_dump(exclude_none=True, exclude={"seed"})
        counts, rates = [k for k in given if k in MODALITIES], [k for k in given if k not in MODALITIES]
        if counts and rates:
            raise ValueError(
                f"{counts[0]} counts clients and {rates[0]} is a rate of examples: give one kind"
            )
        if not given:
            raise ValueError("it says nothing: give numbers of clients or rates of examples")
        if sum(given[name] for name in rates) > 1:
            raise ValueError(
                "missing_images and missing_texts add up to more than 1, but no example lacks both"
            )
        return self

    @property
    def counts(self) -> dict[str, int]:
        """How many clients have what, by name in the order of :data:`MODALITIES`; empty where rates are."""
        if self.missing_images is not None or self.missing_texts is not None:
            return {}
        return {name: getattr(self, name) or 0 for name in MODALITIES}


PartName = Literal["backbone", "data", "partition"]

FILES = re.compile(rf"(?:{'|'.join(get_args(PartName))}|start)\.files\.\w+")
"""The dotted paths of values that say where a part's files lie."""

FILE_KEYS = ("extends", "without")
"""Keys of a file that are no part of the scenario: what it takes over, and what of that it does not."""

NOT_COMPARED: Any = {
    "summary": True,
    **{name: {"files"} for name in (*get_args(PartName), "start")},
    "rewards": {"models": {"__all__": {"backbone": {"files"}}}},
}
"""What of a scenario is no part of its fingerprint: what can change no number."""


class Scenario(Section):
    """A scenario file, validated: what is federated, by whom, for how long, and what is measured.

    Its JSON dump is hashed to the fingerprint that says which records may be compared.
    """

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$", description="name, the same as the file's without .toml"
    )
    version: int = Field(1, ge=1, description="number raised with every change of a value")
    track: Track = Field(
        "alignment", description="alignment, where parameters travel, or preference, where rewards do"
    )
    summary: str = Field("", description="one line for lists; no part of the fingerprint")
    backbone: Part = Field(description="vision encoder and LLM")
    data: Part = Field(description="data set")
    partition: Part = Field(
        default_factory=lambda: Part(name="iid"),
        description="how the data's units are dealt to clients; evenly and at random when absent",
    )
    federation: Federation = Field(description="clients and rounds")
    training: Training = Field(default_factory=Training, description="local training")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="what is measured")
    start: Start | None = Field(
        None, description="a trained model that training begins with; none when absent"
    )
    budget: Budget = Field(Budget(), description="limits over the run")
    faults: Faults | None = Field(None, description="failures and attacks; none when absent")
    modality: Modality | None = Field(
        None, description="clients or examples that lack images or texts; on the alignment track only"
    )
    rewards: Rewards | None = Field(None, description="clients' reward models; on the preference track only")
    policy: PolicyTraining | None = Field(
        None, description="the policy's training; on the preference track only"
    )

    @model_validator(mode="after")
    def _has_its_tracks_sections(self) -> Scenario:
        for key in ("rewards", "policy"):
            if (self.track == "preference") != (getattr(self, key) is not None):
                verb = "needs" if self.track == "preference" else "has no use for"
                raise ValueError(f"the {self.track} track {verb} a [{key}] section")
        for key in ("epochs", "speed") if self.track == "preference" else ():
            if key in self.federation.model_dump(exclude_defaults=True):
                raise ValueError(
                    f"the preference track has no use for federation.{key}: rewards.epochs says how often"
                    " whatever learns from a client's preferences sees them"
                )
        for key in ("models", "noise") if self.rewards else ():
            count, clients = len(getattr(self.rewards, key)), self.federation.clients
            if count not in (1, clients):
                raise ValueError(
                    f"rewards.{key} has {count} values for {clients} clients: give 1 or {clients}"
                )
        return self

    @field_validator("modality")
    @classmethod
    def _fits_clients_and_training(cls, modality: Modality | None, info: ValidationInfo) -> Modality | None:
        federation = info.data.get("federation")
        if not modality or not federation:
            return modality
        if info.data.get("track") == "preference":
            raise ValueError("the preference track has no use for a [modality] section")
        if modality.counts and (counted := sum(modality.counts.values())) != federation.clients:
            raise ValueError(
                f"{', '.join(MODALITIES)} add up to {counted}, but there are {federation.clients} clients"
            )
        training = info.data.get("training")
        if (modality.text_only or modality.missing_images == 1) and training and not training.trains_lora:
            raise ValueError(
                "a client without any image has nothing to train, since only the projector is trained"
            )
        return modality

    @model_validator(mode="after")
    def _trains_what_its_track_has(self) -> Scenario:
        training, clients = self.training, self.federation.clients
        if self.track == "preference" and self.start is not None:
            raise ValueError(
                "the preference track has no use for a [start] section: its policy is the backbone"
            )
        if self.track == "preference" and (training.trains_lora or training.connector != "mlp2"):
            raise ValueError("training.trainable and training.connector are the alignment track's")
        if training.lora and isinstance(ranks := training.lora.rank, tuple) and len(ranks) != clients:
            raise ValueError(
                f"training.lora.rank has {len(ranks)} values for {clients} clients: give 1 or {clients}"
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
        """The file's folder; relative paths in the scenario start there."""
        return self._folder

    @property
    def changes(self) -> Mapping[str, Any]:
        """The file's values that were changed (``--set``): dotted paths to new values."""
        return {dotted: value for dotted, value in self._changes.items() if not FILES.fullmatch(dotted)}

    @property
    def moves(self) -> Mapping[str, str]:
        """Where files were said to lie instead (``--set data.files.path=DIR``); that changes no number."""
        return {dotted: value for dotted, value in self._changes.items() if FILES.fullmatch(dotted)}

    @property
    def modified(self) -> bool:
        """Whether ``--set`` changed a value; a record of such a scenario counts on no board."""
        return bool(self.changes)

    def changed(self, changes: Mapping[str, Any]) -> Scenario:
        """Copy the scenario with ``changes`` (dotted paths to values), validated; they add to earlier ones.

        Raises :class:`UsageError` for a change that the scenario does not allow.
        """
        located = _located(changes)
        scenario = _changed(self.model_dump(mode="json", exclude_unset=True), located)
        scenario._folder, scenario._changes = self._folder, {**self._changes, **located}
        return scenario

    def evaluated(self, evaluation: Evaluation) -> Scenario:
        """Copy the scenario with another ``evaluation``."""
        values = self.model_dump(mode="json", exclude_unset=True)
        values["evaluation"] = evaluation.model_dump(mode="json")
        scenario = Scenario.of_values(values, self._folder)
        scenario._changes = self._changes
        return scenario

    @classmethod
    def of_values(cls, values: Mapping[str, Any], folder: Path = Path()) -> Scenario:
        """Validate ``values`` as JSON's: strictly, but a list is a tuple, and a whole number a float, where
        the model says so. Relative paths in them start at ``folder``. Sections of the preference track that
        are absent there are taken as empty.

        Raises pydantic's ``ValidationError``; :func:`problem_of` says what is wrong.
        """
        if values.get("track") == "preference":
            values = {"rewards": {}, "policy": {}} | dict(values)
        scenario = cls.model_validate_json(json.dumps(values, default=str))
        scenario._folder = folder
        return scenario

    @property
    def title(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def parts(self) -> dict[PartName, Part]:
        """The backbone, the data and the partition, by section."""
        return {"backbone": self.backbone, "data": self.data, "partition": self.partition}

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of every value that can change a number, so not of the summary nor of where files lie."""
        return sha256_json(self.model_dump(mode="json", exclude=NOT_COMPARED, exclude_none=True))


def _located(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes as JSON has them, with absolute paths for what is there from the working folder on."""
    changes = json.loads(json.dumps(dict(changes), default=str))
    return {
        dotted: str(Path(str(value)).expanduser().absolute())
        if FILES.fullmatch(dotted) and Path(str(value)).expanduser().exists()
        else value
        for dotted, value in changes.items()
    }


def _changed(values: dict[str, Any], changes: Mapping[str, Any]) -> Scenario:
    """Validate ``values`` with ``changes`` made to them; an error names the change that caused it."""
    for dotted, value in changes.items():
        _assign(values, dotted, value)
    try:
        return Scenario.of_values(values)
    except ValidationError as error:
        what, why, fix = problem_of(error)
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


def problem_of(error: ValidationError) -> tuple[str, str | None, str]:
    """The first thing that is wrong: what, why, and what to do about it."""
    problem = first_problem(error)
    location = [str(part) for part in problem["loc"]]
    dotted = ".".join(location)
    if problem["type"] == "missing":
        return f"missing key {dotted!r}", None, ""
    if problem["type"] == "extra_forbidden":
        return f"unknown key {dotted!r}", None, _known_keys(location)
    return f"bad value for {dotted!r}", message(problem), ""


def _known_keys(location: list[str]) -> str:
    model: Any = Scenario
    for part in location[:-1]:
        if part.isdigit():  # of a list, whose kind of item the step before has found
            continue
        annotation = model.model_fields[part].annotation
        model = next((kind for kind in get_args(annotation) if kind not in (type(None), ...)), annotation)
    known = [*model.model_fields, *(FILE_KEYS if model is Scenario else ())]
    close = suggest(location[-1], known)
    start = f"{close} " if close.startswith("did") else ""
    return f"{start}known keys: {', '.join(known)}"
