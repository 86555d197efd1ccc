"""Every recorded run as one pandas table, each column of one type."""

import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featbench.errors import UsageError
from featbench.experiments._result import Result, ResultStore

if TYPE_CHECKING:
    import pandas as pd


def load_results(folder: str | Path = "results") -> "pd.DataFrame":
    """Return every result as a table.

    Parameters
    ----------
    folder : path
        Where results are kept.

    Returns
    -------
    DataFrame
        A row a run, failed ones among them (``status``), oldest first; a column for each field of
        ``Result``, which says what it is. Types hang on no value: text is pandas' ``str``, whole
        numbers are ``int64``, or ``Int64`` where they may be missing, other numbers ``float64``
        with NaN for what is missing, ``finished`` is a time (UTC); ``settings``, ``ledger`` and
        the like are objects: dictionaries and lists.

    Raises
    ------
    UsageError
        When there is no such folder.
    """
    import pandas as pd

    if not Path(folder).is_dir():
        raise UsageError(f"{folder}: no such folder; featbench fit, finetune and run make results")
    results = ResultStore(Path(folder)).all()
    return pd.DataFrame({
        name: _column(name, field.annotation, [getattr(result, name) for result in results])
        for name, field in Result.model_fields.items()
    })  # fmt: skip


def _column(name: str, annotation: Any, values: list[Any]) -> "pd.Series[Any]":
    """Return one column, of the type that its field has."""
    import numpy as np
    import pandas as pd

    if name == "finished":
        times = pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601")
        return times.dt.as_unit("ms")
    types_ = _types(annotation)
    if types_ == {int, type(None)}:
        return pd.Series(values, dtype="Int64")
    if int in types_:
        return pd.Series(values, dtype="int64")
    if float in types_:
        return pd.Series(values, dtype="float64")
    if str in types_:  # as pandas 3 has text by itself
        return pd.Series(values, dtype=pd.StringDtype(na_value=np.nan))
    return pd.Series(values, dtype=object)


def _types(annotation: Any) -> set[Any]:
    if isinstance(annotation, types.UnionType):
        return set(typing.get_args(annotation))
    return {annotation}
