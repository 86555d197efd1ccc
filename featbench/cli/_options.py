"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

Data = Annotated[
    str | None,
    Option(
        help="A folder or .zip of class folders, a .csv table, or a name (featbench datasets); "
        ":classes=A,B or :test=0.3 may follow."
    ),
]
Backbone = Annotated[str | None, Option(help="A network (featbench networks, or timm/NAME).")]
Weights = Annotated[
    str | None,
    Option(help="default, random, a weights name, a file, or run:ID: what a finished run trained."),
]
Limit = Annotated[int | None, Option(min=1, help="Images of each class and split.")]
Seed = Annotated[
    int | None, Option(help="Seeds training and random weights; moves no split [default: 0].")
]
SplitSeed = Annotated[int, Option(help="Decides which images are held out.")]
Device = Annotated[str, Option(help="auto, cpu, cuda or mps.")]
Cache = Annotated[str | None, Option(help="Folder of the feature store [default: cache].")]
Results = Annotated[str | None, Option(help="Folder of the results [default: results].")]
Precision = Annotated[str, Option(help="float32, or bfloat16 for speed.")]
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
Again = Annotated[bool, Option("--again", help="Do it although it is recorded already.")]
TensorBoard = Annotated[
    Path | None,
    Option("--tensorboard", help="Also write each epoch of a training here (for TensorBoard)."),
]
Recipe = Annotated[str | None, Option(help="Only this recipe's runs.")]
Picture = Annotated[Path, Option("-o", "--output", help="A .png, .svg or .pdf file.")]
Network = Annotated[str, typer.Argument(help="A network (featbench networks, or timm/NAME).")]
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
    Option(help="Score settings on about this share of each class; else on val, or a fifth."),
]
Memory = Annotated[
    str | None, Option(help="What one Gram matrix may take, such as 4G; else half of what is free.")
]
ActivationBudget = Annotated[
    str | None,
    Option(
        help="What values at the cut may take, such as 4G; over it the frozen part runs on every "
        "batch [default: half of what is free, memory and disk]."
    ),
]
Approximate = Annotated[
    bool, Option("--approximate", help="Approximate an SVM whose Gram matrix does not fit.")
]
Epochs = Annotated[int | None, Option(min=1, help="Passes over the training images [default: 8].")]
LearningRate = Annotated[float | None, Option(help="Learning rate [default: 0.001].")]
BackboneLearningRate = Annotated[
    float | None, Option(help="Learning rate of the blocks [default: that of the classifier].")
]
Course = Annotated[
    str | None,
    Option(help="The learning rate's course: constant, step or cosine [default: constant]."),
]
Batch = Annotated[int | None, Option(min=1, help="Images a step [default: 32].")]
Optimizer = Annotated[str | None, Option(help="adam, adamw or sgd [default: adam].")]
WeightDecay = Annotated[float | None, Option(min=0, help="L2 penalty [default: 0].")]
Dropout = Annotated[
    float | None, Option(help="Share dropped before the classifier [default: the network's own].")
]
Augment = Annotated[
    str | None,
    Option(
        help="Another view of each training image in every epoch: random-crop+rotate:20+flip "
        "[default: none]."
    ),
]
Select = Annotated[
    str | None,
    Option(help="val_loss or val_accuracy (the best epoch), or last [default: val_loss]."),
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
    ),
]
