"""Pictures of data: examples of each class, augmented views, features in the plane."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from featbench.cli import _options as options
from featbench.cli._ending import finish, make_notice, make_reporter, warn_skipped
from featbench.cli._plot import plot_app
from featbench.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from featbench.datasets import Dataset
    from featbench.experiments import Settled
    from featbench.progress import Reporter

Split = Annotated[str, Option(help="Which images: train, test or val.")]


def _open(chosen: "Settled", split_seed: int, reporter: "Reporter") -> "Dataset":
    from featbench.datasets import load_dataset

    dataset = load_dataset(chosen.data, limit=chosen.limit, split_seed=split_seed)
    for line in (*dataset.notices, *dataset.problems):
        reporter.say(f"{dataset.name}: {line}")
    return dataset


@plot_app.command("grid")
def grid(
    data: options.Data = None,
    split: Split = "train",
    examples: Annotated[int, Option(min=1, max=20, help="Images of each class.")] = 6,
    classes: Annotated[
        list[str] | None, Option("--class", help="A class (again for more).")
    ] = None,
    most: Annotated[int, Option(min=1, max=60, help="Classes, where none are named.")] = 20,
    limit: options.Limit = None,
    split_seed: options.SplitSeed = 0,
    output: options.Picture = Path("grid.png"),
    quiet: options.Quiet = False,
) -> None:
    """Show examples of each class, labelled, with how many images it has."""
    from featbench.experiments import Choice, settle
    from featbench.report import check_picture, draw_grid, save_figure

    check_picture(output)
    chosen = settle(Choice(data=data, limit=limit), remember=False)
    dataset = _open(chosen, split_seed, make_reporter(quiet, chosen))
    figure = draw_grid(dataset, split=split, examples=examples, classes=classes, most=most)
    print(save_figure(figure, output))
    finish(bool(dataset.problems))


@plot_app.command("augment")
def augment(
    recipe: Annotated[str, Option("--augment", help="What a view is: random-crop+flip+rotate:15.")],
    image: Annotated[
        Path | None,
        typer.Argument(help="An image file; without one, the data's first to train on."),
    ] = None,
    data: options.Data = None,
    backbone: options.Backbone = None,
    views: Annotated[int, Option(min=1, max=60, help="How many.")] = 9,
    seed: options.Seed = None,
    output: options.Picture = Path("augment.png"),
    quiet: options.Quiet = False,
) -> None:
    """Show one image, and what a network that is trained with augmentation sees of it."""
    from featbench.augmentation import augmented_views
    from featbench.datasets import decode
    from featbench.errors import BrokenImageError
    from featbench.experiments import Choice, settle
    from featbench.networks import create_network
    from featbench.report import check_picture, draw_views, save_figure

    check_picture(output)
    if image is not None and data is not None:
        raise UsageError("IMAGE and --data are two ways to name the picture: give one")
    chosen = settle(Choice(data=data, backbone=backbone, seed=seed), remember=False)
    for line in chosen.said:
        if image is None or line.startswith("backbone "):  # else data is not asked for
            make_notice(quiet)(line)
    try:
        picture = _first(chosen) if image is None else decode(image.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{image}: no such file; name an image") from error
    except BrokenImageError as error:
        raise UsageError(f"{image}: cannot be decoded ({error}); name another image") from error
    preprocessing = create_network(chosen.backbone, "random").preprocessing
    drawn = augmented_views(picture, recipe, preprocessing, count=views, seed=chosen.seed)
    print(save_figure(draw_views(picture, drawn, f"{chosen.backbone}: {recipe}"), output))


def _first(chosen: "Settled") -> "Image":
    """Return the first training image that can be decoded."""
    from featbench.datasets import load_dataset
    from featbench.errors import BrokenImageError

    train = load_dataset(chosen.data).train
    for row in range(len(train)):
        try:
            return train.read(row)
        except (BrokenImageError, OSError):
            continue
    raise UsageError(f"{chosen.data}: not one of {len(train)} images can be decoded")


@plot_app.command("embedding")
def embedding(
    backbone: options.Backbone = None,
    data: options.Data = None,
    weights: options.Weights = None,
    split: Split = "test",
    method: Annotated[
        str | None, Option(help="pca or umap; default: umap where it is installed.")
    ] = None,
    limit: options.Limit = None,
    split_seed: options.SplitSeed = 0,
    seed: options.Seed = None,
    output: options.Picture = Path("embedding.png"),
    device: options.Device = "auto",
    cache: options.Cache = None,
    results: options.Results = None,
    quiet: options.Quiet = False,
) -> None:
    """Show a data set's features in the plane, a colour and a marker for each class."""
    from featbench.experiments import Choice, ResultStore, find_weights, settle, with_backbone
    from featbench.extraction import extract
    from featbench.networks import create_network
    from featbench.report import check_picture, draw_embedding, plane_method, project, save_figure

    check_picture(output)
    method = plane_method(method)
    given = with_backbone(Choice(data, backbone, weights, seed, limit, cache, results))
    chosen = settle(given, remember=True)
    reporter = make_reporter(quiet, chosen)
    dataset = _open(chosen, split_seed, reporter)
    if split not in dataset.splits:
        raise UsageError(f"--split {split}: {dataset.name} has {', '.join(dataset.splits)}")
    found_weights = find_weights(chosen.weights, ResultStore(chosen.results))
    network = create_network(chosen.backbone, found_weights, seed=chosen.seed)
    features = extract(dataset, network, cache=chosen.cache, device=device, reporter=reporter)
    rows = features.splits[split]
    plane = project(rows.X.reshape(len(rows.X), -1), method, seed=chosen.seed)
    title = f"{dataset.name}, {split}: {len(rows.X):,} images · {network.name} ({network.weights})"
    print(save_figure(draw_embedding(plane, rows.y, dataset.classes, title), output))
    warn_skipped(dict(features.skipped), chosen.cache / "skipped.csv")
    finish(bool(features.skipped or dataset.problems))
