"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from featbench.cli import _complete as complete

Data = Annotated[
    str | None,
    Option(
        help="A folder or .zip of class folders, a .csv table, or a name (featbench datasets); "
        ":classes=A,B or :test=0.3 may follow.",
        autocompletion=complete.data,
    ),
]
Backbone = Annotated[
    str | None,
    Option(help="A network (featbench networks, or timm/NAME).", autocompletion=complete.networks),
]
Weights = Annotated[
    str | None,
    Option(
        help="default, random, a weights name, a file, or run:ID (what a finished run trained).",
        autocompletion=complete.values("default", "random"),
    ),
]
Split = Annotated[
    str,
    Option(
        help="Which images: train, test or val.",
        autocompletion=complete.values("train", "test", "val"),
    ),
]
Limit = Annotated[int | None, Option(min=1, help="Images of each class and split.")]
Seed = Annotated[
    int | None, Option(help="Seeds training and random weights; moves no split (default: 0).")
]
SplitSeed = Annotated[int, Option(help="Decides which images are held out.")]
Device = Annotated[
    str,
    Option(
        help="auto, cpu, cuda or mps.",
        autocompletion=complete.values("auto", "cpu", "cuda", "mps"),
    ),
]
Cache = Annotated[str | None, Option(help="Folder of the feature store (default: cache).")]
Results = Annotated[str | None, Option(help="Folder of the results (default: results).")]
Precision = Annotated[
    str,
    Option(
        help="float32, or bfloat16 for speed.", autocompletion=complete.known_values("precision")
    ),
]
Strict = Annotated[bool, Option("--strict", help="A broken image is an error.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress, no notices.")]
Json = Annotated[bool, Option("--json", help="Machine output alone on stdout.")]
Features = Annotated[
    Path | None,
    Option(help="In place of --backbone and --data: a .h5, .npz or .parquet file of embeddings."),
]
FeaturesX = Annotated[str | None, Option(help="The rows in that file (default: X).")]
FeaturesY = Annotated[str | None, Option(help="The labels in that file (default: y).")]
FeaturesSplit = Annotated[
    str | None,
    Option(help="train, val or test of each row (default: split, if there; '' for none)."),
]
FeaturesId = Annotated[
    str | None, Option(help="A name for each row (default: id, if there; '' for its number).")
]
FeaturesGroup = Annotated[
    str | None,
    Option(help="What stays on one side of a split (default: group, if there; '' for none)."),
]
Again = Annotated[bool, Option("--again", help="Do it although it is recorded already.")]
TensorBoard = Annotated[
    Path | None,
    Option("--tensorboard", help="Also write each epoch of a training here (for TensorBoard)."),
]
MLflow = Annotated[
    str | None,
    Option("--mlflow", help="Also send runs there: an MLflow server's URI, or a folder."),
]
Recipe = Annotated[
    str | None, Option(help="Only this recipe's runs.", autocompletion=complete.recipes)
]
LabelsNeeded = Annotated[
    float | None,
    Option(help="An accuracy in per cent: how many images a class each method needs to reach it."),
]
Picture = Annotated[Path, Option("-o", "--output", help="A .png, .svg or .pdf file.")]
Network = Annotated[
    str,
    typer.Argument(
        help="A network (featbench networks, or timm/NAME).", autocompletion=complete.networks
    ),
]
Run = Annotated[
    str, typer.Argument(help="A run's id, or how it begins.", autocompletion=complete.runs)
]
Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Runs' ids, or how they begin.", autocompletion=complete.runs),
]
ResultsFolder = Annotated[Path | None, typer.Argument(help="Folder of the results.")]
Tune = Annotated[
    str,
    Option(
        help="Try so many settings from the head's space, or grid for all of them, on images held "
        "out; then fit the best on train and val."
    ),
]
Folds = Annotated[int | None, Option(help="Score settings on so many folds.")]
Validation = Annotated[
    float | None,
    Option(help="Score settings on about this share of train; else on val, or a fifth."),
]
Memory = Annotated[
    str | None, Option(help="What one Gram matrix may take, such as 4G; else half of what is free.")
]
ActivationBudget = Annotated[
    str | None,
    Option(
        help="What values at the cut, or decoded pictures, may take, such as 4G; over it the "
        "frozen part runs, or pictures are decoded, each batch (default: half of free memory)."
    ),
]
Approximate = Annotated[
    bool, Option("--approximate", help="Approximate an SVM whose Gram matrix does not fit.")
]
Epochs = Annotated[int | None, Option(min=1, help="Passes over the training images (default: 8).")]
LearningRate = Annotated[float | None, Option(help="Learning rate (default: 0.001).")]
BackboneLearningRate = Annotated[
    float | None, Option(help="Learning rate of the blocks (default: that of the classifier).")
]
Course = Annotated[
    str | None,
    Option(
        help="The learning rate's course: constant, step or cosine (default: constant).",
        autocompletion=complete.known_values("schedule"),
    ),
]
Batch = Annotated[int | None, Option(min=1, help="Images a step (default: 32).")]
Optimizer = Annotated[
    str | None,
    Option(
        help="adam, adamw or sgd (default: adam).",
        autocompletion=complete.known_values("optimizer"),
    ),
]
WeightDecay = Annotated[float | None, Option(min=0, help="L2 penalty (default: 0).")]
Dropout = Annotated[
    float | None, Option(help="Share dropped before the classifier (default: the network's own).")
]
Augment = Annotated[
    str | None,
    Option(
        help="Another view of each training image in every epoch: random-crop+rotate:20+flip "
        "(default: none)."
    ),
]
Select = Annotated[
    str | None,
    Option(
        help="val_loss or val_accuracy (the best epoch), or last (default: val_loss).",
        autocompletion=complete.known_values("select"),
    ),
]
Patience = Annotated[
    int | None, Option(min=1, help="Stop after so many epochs that were no better.")
]
TrainSettings = Annotated[
    list[str] | None,
    Option(
        "--set",
        help="Another setting of training, such as hidden=[256] or normalise=data; or of the warm "
        "start's head, such as logreg.C=1.",
        autocompletion=complete.training_settings,
    ),
]
