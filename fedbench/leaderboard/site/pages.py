"""The pages: what each shows, rendered by templates that escape everything."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fedbench.api.options import described
from fedbench.api.scenario import Scenario
from fedbench.api.specs import MethodSpec
from fedbench.catalog import Catalog
from fedbench.errors import FedbenchError
from fedbench.leaderboard.site import formats, urls
from fedbench.leaderboard.site.charts import Charts, bars
from fedbench.leaderboard.site.kept import KeptParts
from fedbench.leaderboard.site.reproduce import environments, option_sets
from fedbench.leaderboard.site.samples import ClientLoader, Clients
from fedbench.leaderboard.standings import PRIVILEGED, Standings
from fedbench.registry import Entry
from fedbench.results.run_command import seed_ranges
from fedbench.scenario_files import load_scenario
from fedbench.verification.ladder import Level

GENERATOR = "fedbench leaderboard build"
"""What a page names as its generator."""

Page = tuple[str, bytes]
"""A file of the site: its path below the root, and its bytes."""


@dataclass(frozen=True)
class Site:
    """What the pages show. ``records`` holds the path of each record from the site's root, by id; ``warn`` is
    called with a line for each thing that can't be shown; ``kept`` are parts of earlier builds."""

    boards: tuple[Standings, ...]
    catalog: Catalog
    records: Mapping[str, str]
    warn: Callable[[str], None]
    kept: KeptParts

    def pages(self) -> Iterator[Page]:
        """Every file of the site but the records and their folder."""
        yield from self._assets()
        yield self._page(urls.INDEX, "index.html", boards=self.boards)
        for standings in self.boards:
            yield from self._board(standings)
        yield from self._scenarios()
        yield from self._methods()

    def _assets(self) -> Iterator[Page]:
        folder = files(__package__) / "static"
        for address in (urls.STYLE, urls.SCRIPT, urls.ICON):
            yield address, (folder / address.rpartition("/")[2]).read_bytes()

    def _board(self, standings: Standings) -> Iterator[Page]:
        board, charts = standings.contest.board, Charts(standings, self.kept)
        shown = {
            "standings": standings,
            "board": board,
            "contest": standings.contest,
            "charts": charts,
            "curves": {s.scenario.title: charts.curves(s) for s in standings.scenarios},
        }
        yield self._page(urls.board(board.name), "board.html", **shown)
        for standing in standings.scenarios:
            address = urls.standing(board.name, standing.scenario.name)
            yield self._page(address, "standing.html", **shown, standing=standing)
        for row in standings.rows:
            yield self._page(
                urls.entry(board.name, row.contender.key),
                "entry.html",
                **shown,
                row=row,
                option_sets=option_sets(standings.contest, row),
                environments=environments(row.runs),
            )

    @cached_property
    def scenarios(self) -> Mapping[str, Scenario]:
        """Those of the boards that are installed, by name."""
        installed = {}
        for name in sorted({s.name for standings in self.boards for s in standings.contest.scenarios}):
            with suppress(FedbenchError):  # the board says what is wrong with it
                installed[name] = load_scenario(self.catalog.scenario(name).spec.path, catalog=self.catalog)
        return installed

    def _scenarios(self) -> Iterator[Page]:
        load = ClientLoader(self.catalog, self.kept)
        for name, scenario in self.scenarios.items():
            clients = self._clients(load, scenario)
            for sample in clients.samples if clients else ():
                yield urls.sample(name, sample.client), sample.image
            settings = scenario.model_dump(mode="json", exclude={"name", "version", "summary"})
            yield self._page(
                urls.scenario(name),
                "scenario.html",
                scenario=scenario,
                clients=clients,
                chart=bars(clients.held, scenario.title, self.kept) if clients else None,
                settings=formats.flat(settings),
                boards=[s for s in self.boards if name in [b.name for b in s.contest.scenarios]],
            )
        yield self._page(urls.SCENARIOS, "scenarios.html")

    def _clients(self, load: ClientLoader, scenario: Scenario) -> Clients | None:
        try:
            return load(scenario)
        except Exception as error:  # a plugin's data may fail in any way, and the others' pages need not
            self.warn(f"scenario {scenario.title}: its clients can't be shown: {error}")
            return None

    def _methods(self) -> Iterator[Page]:
        entries = self.catalog.methods.entries
        for entry in entries:
            ranked = [
                (standings, row)
                for standings in self.boards
                for row in standings.rows
                if (row.contender.method, row.contender.plugin) == (entry.name, entry.plugin.name)
            ]
            yield self._page(
                urls.method(entry.plugin.name, entry.name),
                "method.html",
                entry=entry,
                options=self._options(entry),
                ranked=ranked,
            )
        yield self._page(urls.METHODS, "methods.html", entries=entries)

    def _options(self, entry: Entry[MethodSpec]) -> list[dict[str, Any]] | None:
        try:
            return described(entry.options)
        except FedbenchError as error:
            self.warn(f"method {entry.qualified}: its options can't be shown: {error}")
            return None

    def _page(self, address: str, template: str, **shown: Any) -> Page:
        text = _environment.get_template(template).render(
            **shown, site=self, page=address, link=partial(urls.relative, page=address)
        )
        return address, text.encode("utf-8", "backslashreplace")


def _made() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "number": formats.number,
        "duration": formats.duration,
        "counted": formats.counted,
        "ranges": seed_ranges,
        "short": formats.short,
        "value": formats.value,
        "flat": formats.flat,
        "shell": shlex.join,
    }
    made.globals |= {
        "urls": urls,
        "Level": Level,
        "PRIVILEGED": PRIVILEGED,
        "GENERATOR": GENERATOR,
        "version": version("fedbench-suite"),
    }
    return made


_environment = _made()
