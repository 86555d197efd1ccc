"""How what lies above a cut is trained: every setting, checked before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featbench.augmentation import NO_AUGMENTATION, Augmentation, parse_copies
from featbench.errors import UsageError
from featbench.training import Course, is_count, is_number

SELECT = ("val_loss", "val_accuracy", "last")
LOSSES = ("cross-entropy", "mse")
BINARY = ("softmax", "sigmoid")
NORMALISE = ("weights", "half", "imagenet", "data")


@dataclass(frozen=True, kw_only=True)
class Schedule(Course):
    """How to train; what is not explained here is as in ``Course``.

    Parameters
    ----------
    lr : float
        Learning rate of the classifier.
    backbone_lr : float, optional
        Of the blocks; by default ``lr``.
    layer_decay : float
        The last block's rate is ``backbone_lr`` times it, the one's before that times it again
        (Clark et al. 2020).
    batch : int
        Images a step.
    clip_norm : float, optional
        Gradients longer than this, all together, are shortened to it.
    amp : bool
        Train in bfloat16 where autocast holds it safe; validation and predictions are float32.
    select : str
        ``val_loss`` keeps the epoch with the lowest validation loss, ``val_accuracy`` that with
        the highest validation accuracy, the first of equals; ``last`` the last one.
    patience : int, optional
        Stop after so many epochs that were no better by what ``select`` looks at (for ``last``:
        the validation loss).
    class_weight : str or dict, optional
        ``balanced``: an image's loss counts n / (n_classes · images of its class); or what an image
        of each class counts, by the class's name or number, 1 where it is not named.
    loss : str
        ``cross-entropy``; or ``mse``, the mean over classes of the squared error of each output's
        sigmoid against 1 for the class and 0 for the others.
    binary : str
        For two classes: ``softmax`` with an output each, or ``sigmoid`` with a single output.
    hidden : sequence of int
        Widths of fully connected ReLU layers put before the classifier's last one.
    refit : bool
        When the epoch is selected, train anew from the same start on train and val together, for
        that many epochs of the same course. So the test split measures a network that has seen as
        many images as a head whose settings were chosen.
    dropout : float, optional
        Share dropped of what the classifier gets, and of each hidden layer; None leaves the
        network's own.
    augment : str
        A recipe (``featbench/augmentation/_recipe.py``) by which every epoch sees another view of
        each training image, such as ``random-crop+rotate:20+flip``; ``none`` for the image itself.
        Validation and test images are never augmented.
    views : int
        Where something is frozen below the cut: so many views of each training image are run
        through it once, and epoch e sees view e mod ``views``; 0 runs a new view every epoch.
        Without ``augment`` there are no views, and any number is the default.
    copies : str or sequence of str
        Beside each training image one copy an entry, by exact amounts: ``rotate:10,rotate:20``.
        ``augment`` is applied to copies too.
    normalise : str
        ``weights``, as those were trained; ``half``, to [-1, 1]; ``imagenet``; or ``data``, by
        mean and standard deviation of the training images' channels.

    Raises
    ------
    UsageError
        For a value that cannot be.
    """

    epochs: int = 8
    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_epochs: float = 0
    step_epochs: int = 5
    step_factor: float = 0.1
    label_smoothing: float = 0.0
    patience: int | None = None
    backbone_lr: float | None = None
    layer_decay: float = 1.0
    batch: int = 32
    clip_norm: float | None = None
    amp: bool = False
    select: str = "val_loss"
    class_weight: str | Mapping[Any, float] | None = None
    loss: str = "cross-entropy"
    binary: str = "softmax"
    hidden: Sequence[int] = ()
    dropout: float | None = None
    refit: bool = False
    augment: str = NO_AUGMENTATION
    views: int = 4
    copies: str | Sequence[str] = ()
    normalise: str = "weights"

    def __post_init__(self) -> None:
        if problem := self.problem():
            raise UsageError(problem)
        if self.refit and not self.needs_validation:
            raise UsageError("refit=True goes with select=val_loss or val_accuracy: with select="
                             "last nothing is held out")  # fmt: skip
        object.__setattr__(self, "augment", Augmentation(self.augment).recipe)  # one spelling
        if self.augment == NO_AUGMENTATION:  # it changes nothing, so it makes no other run
            object.__setattr__(self, "views", Schedule.views)
        object.__setattr__(self, "copies", parse_copies(self.copies))
        object.__setattr__(self, "hidden", tuple(self.hidden))  # a recipe gives a list
        if isinstance(weights := self.class_weight, Mapping):  # one spelling, so one run id
            plain = {str(name): float(weight) for name, weight in weights.items()}
            object.__setattr__(self, "class_weight", plain)

    def rules(self) -> dict[str, tuple[bool, str]]:
        """Return for each setting whether it can be, and what is expected."""

        def positive(value: float | None) -> bool:
            return value is None or is_number(value, lambda v: v > 0)

        hidden, drop = self.hidden, self.dropout
        widths = isinstance(hidden, list | tuple) and all(map(is_count, hidden))
        share = drop is None or is_number(drop, lambda v: 0 <= v < 1)
        decay = is_number(self.layer_decay, lambda v: 0 < v <= 1)
        return super().rules() | {
            "backbone_lr": (positive(self.backbone_lr), "a number above 0 or none"),
            "layer_decay": (decay, "a number in (0, 1]"),
            "batch": (is_count(self.batch), "a whole number from 1 up"),
            "clip_norm": (positive(self.clip_norm), "a number above 0 or none"),
            "amp": (isinstance(self.amp, bool), "true or false"),
            "select": (self.select in SELECT, ", ".join(SELECT)),
            "class_weight": (
                _can_weigh(self.class_weight),
                "balanced, none, or a number for each class that is named, 0 or more, one above 0",
            ),
            "loss": (self.loss in LOSSES, ", ".join(LOSSES)),
            "binary": (self.binary in BINARY, ", ".join(BINARY)),
            "hidden": (widths, "a list of whole numbers from 1 up"),
            "dropout": (share, "a number in [0, 1) or none"),
            "refit": (isinstance(self.refit, bool), "true or false"),
            "views": (is_count(self.views, 0), "a whole number from 0 up"),
            "normalise": (self.normalise in NORMALISE, ", ".join(NORMALISE)),
        }

    @property
    def recipes(self) -> tuple[str, ...]:
        """What is done to a training image, and to each copy of it; ``none`` where nothing is."""
        own = () if self.augment == NO_AUGMENTATION else (self.augment,)
        return tuple("+".join((*copy, *own)) or NO_AUGMENTATION
                     for copy in ((), *((c,) for c in self.copies)))  # fmt: skip

    @property
    def needs_validation(self) -> bool:
        """Whether something is chosen on validation images."""
        return self.select != "last" or self.patience is not None

    def outputs(self, classes: int) -> int:
        """Return how many outputs the network needs for so many classes.

        Raises
        ------
        UsageError
            When a single output is asked for other than two classes.
        """
        if self.binary != "sigmoid":
            return classes
        if classes != 2:
            raise UsageError(f"binary='sigmoid': needs two classes, the data has {classes}; "
                             "use softmax")  # fmt: skip
        return 1


def _can_weigh(given: Any) -> bool:
    if not isinstance(given, Mapping):
        return given is None or given == "balanced"
    numbers = [is_number(weight, lambda v: v >= 0) for weight in given.values()]
    names = {str(name) for name in given}
    return all(numbers) and any(given.values()) and len(names) == len(given)
