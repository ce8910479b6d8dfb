"""What all parts of a record have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RecordSection(BaseModel):
    """A frozen part of a record. Fields that it does not know are kept when a file is read;
    :func:`fedbench.results.store.write_record` refuses them."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={"additionalProperties": False},
    )
