"""Records as pandas frames. Imports pandas and pyarrow; import it late."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa

from fedbench.results.exports import SCHEMA, rows
from fedbench.results.records import Record

NULLABLE = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
"""pandas types that keep a whole number whole where another row has none."""


def record_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Make a data frame with a row for each measure and cost of a round, of a client or at the end.

    The rows are those of ``fedbench export``. ``stage`` is ``round``, ``end`` or a control's name; ``client``
    is missing where a measure is of all clients.
    """
    table = pa.Table.from_pylist([row for record in records for row in rows(record)], schema=SCHEMA)
    return table.to_pandas(types_mapper=NULLABLE.get)
