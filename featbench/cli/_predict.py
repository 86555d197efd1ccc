"""The command that says what images are: predict."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from featbench.cli import _complete as complete
from featbench.cli import _options as options
from featbench.cli._app import app
from featbench.cli._console import print_table
from featbench.cli._ending import finish, make_reporter, warn_skipped
from featbench.errors import FeatbenchError
from featbench.progress import Reporter

if TYPE_CHECKING:
    from featbench.datasets import Dataset
    from featbench.experiments import Answers, SavedModel, TrainedModel


@app.command()
def predict(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's id, or how it begins; or the folder of a run or model.",
            autocompletion=complete.runs,
        ),
    ],
    images: Annotated[list[str], typer.Argument(help="Images, folders and zips of images.")],
    top: Annotated[int, Option(min=1, help="Say the likeliest so many classes.")] = 1,
    compare: Annotated[
        list[str] | None,
        Option(
            help="Another run, beside the first (again for more).", autocompletion=complete.runs
        ),
    ] = None,
    weights: Annotated[
        Path | None, Option(help="The network's weights, for runs that were fitted with a file.")
    ] = None,
    device: options.Device = "auto",
    cache: options.Cache = None,
    results: options.Results = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Say what images are: label and confidence, a line an image."""
    from featbench.datasets import given_images
    from featbench.experiments import Choice, ResultStore, find_model, settle

    folders = settle(Choice(cache=cache, results=results), remember=False)
    store = ResultStore(folders.results)
    given = given_images(images)  # a misspelt name is found before any work
    models = [find_model(name, store) for name in [run, *(compare or [])]]
    reporter = make_reporter(quiet, replace(folders, said=()))  # images come from the prompt
    answers = _ask(models, given, weights, folders.cache, device, reporter)
    if as_json:
        print(json.dumps(_document(models, answers, top)))
    else:
        _print(models, answers, top)
    for model, answer in zip(models, answers, strict=True):
        if answer.probabilities is None:
            reporter.say(f"{model.title}: gives no probabilities, so no confidence is shown; a run "
                         "fitted with --set calibrate=temperature has them")  # fmt: skip
    for line in given.problems:
        reporter.say(line)
    skipped = dict(answers[0].skipped)
    warn_skipped(skipped, folders.cache / "skipped.csv")
    finish(bool(skipped or given.problems))


def _ask(
    models: "Sequence[SavedModel | TrainedModel]", images: "Dataset", weights: Path | None,
    cache: Path, device: str, reporter: Reporter,
) -> "list[Answers]":  # fmt: skip
    """Ask every model; a network that several have is made once."""
    from featbench.networks import Network

    networks: dict[Any, Network] = {}
    answers = []
    for model in models:
        key = model.network_key
        if key not in networks:
            networks[key] = model.create_network(weights)
        answers.append(
            model.predict(images, networks[key], cache=cache, device=device, reporter=reporter)
        )
        if answers[-1].ids != answers[0].ids:  # each row of the table is one image
            raise FeatbenchError("images changed while they were read; run the command again")
    return answers


def _print(
    models: "Sequence[SavedModel | TrainedModel]", answers: "Sequence[Answers]", top: int
) -> None:
    from featbench.untrusted import shown

    rows = [
        (shown(name), *(_line(m, a, i, top) for m, a in zip(models, answers, strict=True)))
        for i, name in enumerate(answers[0].ids)
    ]
    if len(models) > 1:
        print_table(("image", *(model.title for model in models)), rows)
        return
    for name, line in rows:
        print(f"{name}: {line}")


def _line(model: "SavedModel | TrainedModel", answers: "Answers", i: int, top: int) -> str:
    from featbench.untrusted import shown

    return ", ".join(
        shown(model.classes[c]) + ("" if chance is None else f" {100 * chance:.1f}%")
        for c, chance in answers.top(i, top)
    )


def _document(
    models: "Sequence[SavedModel | TrainedModel]", answers: "Sequence[Answers]", top: int
) -> dict[str, Any]:
    """Return everything as plain data: the models, and each image's predictions in their order."""
    return {
        "models": [model.summary() for model in models],
        "images": [
            {
                "image": name,
                "predictions": [
                    _prediction(m, a, i, top) for m, a in zip(models, answers, strict=True)
                ],
            }
            for i, name in enumerate(answers[0].ids)
        ],
        "skipped": [{"image": name, "reason": reason} for name, reason in answers[0].skipped],
    }


def _prediction(
    model: "SavedModel | TrainedModel", answers: "Answers", i: int, top: int
) -> dict[str, Any]:
    best = [{"label": model.classes[c], "confidence": p} for c, p in answers.top(i, top)]
    if answers.scores is not None:
        for one, (c, _) in zip(best, answers.top(i, top), strict=True):
            one["score"] = float(answers.scores[i, c])
    return {**best[0], "top": best}
