"""What a notebook shows of one run."""

import json

from featbench.experiments._result import FINE_TUNE, Result
from featbench.markup import facts, paragraph, shown_in_notebook


def result_in_notebook(result: Result) -> str:
    """Return one run as a small HTML table.

    Intervals and tests are a table's, which knows the predictions: ``make_table``.

    Parameters
    ----------
    result : Result
        Finished or failed. All of its text is escaped.
    """
    method = f"{result.method}, trained from {result.cut} on"
    if result.method != FINE_TUNE:
        method = result.method + (f" at {result.layer}" if result.layer else "")
    chosen = f" (best of {len(result.ledger)})" if result.ledger else ""
    settings = ", ".join(f"{name}={_plain(value)}" for name, value in result.given.items())
    about = [
        ("run", result.run_id + (f" of recipe {result.recipe}" if result.recipe else "")),
        ("dataset", result.dataset),
        ("network", f"{result.network} ({result.weights})"),
        ("method", method + (" (approximate)" if result.approximate else "")),
        ("settings", (settings or "defaults") + chosen),
        ("seed", str(result.seed)),
    ]
    if result.status != "ok":
        return shown_in_notebook(facts(about), paragraph(f"failed: {result.error}"))
    sizes = (("train", result.n_train), ("val", result.n_val), ("test", result.n_test))
    images = ", ".join(f"{name} {count:,}" for name, count in sizes if count)
    about += [
        ("images", f"{images}; {result.n_classes:,} classes"),
        ("test", _quality(result)),
        ("train, val", " ".join(map(_percent, (result.train_accuracy, result.val_accuracy)))),
        ("seconds", f"{result.extract_seconds_cold:.1f} to extract (nothing cached), "
                    f"{result.fit_seconds:.1f} to fit"),
        ("done", f"{result.finished[:16].replace('T', ' ')} on {result.device}"),
    ]  # fmt: skip
    return shown_in_notebook(facts(about))


def _quality(result: Result) -> str:
    said = [
        f"accuracy {_percent(result.test_accuracy)}",
        f"balanced {_percent(result.test_balanced_accuracy)}",
        f"macro F1 {_percent(result.test_macro_f1)}",
    ]
    if result.test_log_loss is not None:
        said += [f"log-loss {result.test_log_loss:.3f}", f"ECE {_percent(result.test_ece)}"]
    return ", ".join(said)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
