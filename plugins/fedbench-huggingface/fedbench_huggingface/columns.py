"""Options that data sets of a table with images have in common."""

from __future__ import annotations

from pydantic import Field, model_validator

from fedbench import Location
from fedbench_huggingface.source import Source


class Columns(Source):
    """Which column means what; NAME in a WebDataset's ``json`` is its column ``json.NAME``."""

    path: Location = Field(
        description="a table (.parquet, .arrow, .csv, .tsv, .jsonl, .json, .tar), a folder with tables of one"
        " format, or the id of a data set on the Hub"
    )
    image: str = Field(
        "image", description="column of the images, or of their files' names, from the table's folder on"
    )
    client: str | None = Field(None, description="column of who holds a row: the label client")
    labels: list[str] = Field(default_factory=list, description="columns that partitions may deal by")
    group: str | None = Field(
        None,
        description="column of what must not be split, such as a patient; images by themselves when absent",
    )
    split: str | None = Field(None, description="column that says train, validation or test")
    own_splits: bool = Field(
        True, description="whether folders and files called train, validation and test are these splits"
    )
    skip_broken: bool = Field(False, description="leave out rows that can't be used instead of refusing them")
    seed: int = Field(0, ge=0, description="seed of the splits, and of all else that is drawn")

    @model_validator(mode="after")
    def _clients_label_is_one(self) -> Columns:
        if self.client not in (None, "client") and "client" in self.labels:
            raise ValueError("the label client is the column that client names: take 'client' out of labels")
        return self

    @property
    def label_names(self) -> dict[str, str]:
        """The columns of the labels, by their names."""
        named = {"client": self.client} if self.client is not None else {}
        return named | {name: name for name in self.labels if name != self.client}
