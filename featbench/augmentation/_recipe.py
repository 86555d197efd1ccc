"""The language of recipes: steps joined by ``+``, parameters after colons.

| step | what it does |
|---|---|
| ``random-crop`` | cuts the network's own size at a random place of the resized picture |
| ``random-crop:64:pad=4`` | cuts 64 × 64, scaled to the network's size; 4 black pixels around |
| ``centre-crop``, ``centre-crop:S`` | cuts the centre; without any crop it is done at the end |
| ``crop:S`` | cuts a random part of at least S of the area, sides in ratio 3/4 to 4/3 |
| ``flip``, ``flip:P`` | mirrors left and right, with probability P (0.5) |
| ``rotate:D`` | turns by -D to D degrees; ``rotate=D`` by exactly D, counter-clockwise |
| ``affine:D`` | as torchvision's RandomAffine(D); ``translate=T``, ``scale=A-B``, ``shear=D`` |
| ``colour:S`` | brightness, contrast and saturation by up to S each, or ``brightness=B``, … alone |

So ``random-crop:64+rotate:20+affine:5:translate=0.1:scale=0.9-1.1+flip+colour:0.2``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from featbench.errors import UsageError, did_you_mean

NO_AUGMENTATION = "none"

Pair = tuple[float, float]


@dataclass(frozen=True)
class _Number:
    """A parameter: its default and what it may be; with ``pair``, two numbers A-B."""

    default: float | Pair | None
    low: float
    high: float
    whole: bool = False
    pair: bool = False

    @property
    def expected(self) -> str:
        kind = "A-B with A and B" if self.pair else "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"

    def read(self, text: str) -> float | Pair:
        """Return the value; raises ValueError where it cannot be."""
        parts = text.split("-") if self.pair else [text]
        numbers = [float(part) for part in parts]
        right = all(math.isfinite(n) and self.low <= n <= self.high for n in numbers)
        if not right or (self.whole and not numbers[0].is_integer()):
            raise ValueError(text)
        if not self.pair:
            return numbers[0]
        low, high = numbers
        if low > high:
            raise ValueError(text)
        return low, high


_DEGREES = _Number(15, 0, 180)
_SHARE = _Number(None, 0, 1)
_SIDE = _Number(None, 1, 4096, whole=True)
_STEPS: dict[str, dict[str, _Number]] = {  # by name; a step's own number is called ""
    "random-crop": {"": _SIDE, "pad": _Number(0, 0, 1024, whole=True)},
    "centre-crop": {"": _SIDE},
    "crop": {"": _Number(0.5, 0.01, 1)},
    "flip": {"": _Number(0.5, 0, 1)},
    "rotate": {"": _DEGREES},
    "affine": {
        "": _Number(5, 0, 180),
        "translate": _Number(0, 0, 1),
        "scale": _Number((1, 1), 0.05, 20, pair=True),
        "shear": _Number(0, 0, 80),
    },
    "colour": {"": _Number(0.2, 0, 1), "brightness": _SHARE, "contrast": _SHARE,
               "saturation": _SHARE},
}  # fmt: skip
_EXACT = {"rotate": _Number(None, -180, 180), "flip": _Number(1, 1, 1)}  # flip: always


@dataclass(frozen=True)
class Step:
    """A step as it was read.

    Parameters
    ----------
    name : str
        Its name.
    values : dict of str to float, (float, float) or None
        Its own number under the empty name, and the others by name.
    exact : bool
        Whether the number is the amount itself, and no limit.
    """

    name: str
    values: Mapping[str, float | Pair | None]
    exact: bool = False

    def number(self, name: str = "") -> float:
        """Return a parameter that is one number."""
        value = self.values[name]
        assert isinstance(value, int | float)
        return float(value)

    def __str__(self) -> str:
        """Return the step with its number written out: equal steps are equal text."""
        if self.exact:
            return f"{self.name}={self.number():g}"
        known = _STEPS[self.name]
        own = self.values[""]
        words = [self.name] if own is None else [f"{self.name}:{_text(own)}"]
        return ":".join(
            words
            + [
                f"{name}={_text(value)}"
                for name, value in self.values.items()
                if name and value is not None and value != known[name].default
            ]
        )


def parse(recipe: str) -> list[Step]:
    """Read a recipe.

    Parameters
    ----------
    recipe : str
        As above; ``none`` or nothing has no step.

    Raises
    ------
    UsageError
        For an unknown step, or a number that cannot be.
    """
    if not isinstance(recipe, str):
        raise UsageError(f"augment={recipe!r}: expected a recipe, such as flip+rotate:15")
    recipe = recipe.strip()
    return [] if recipe in (NO_AUGMENTATION, "") else [_step(t, recipe) for t in recipe.split("+")]


def _step(text: str, recipe: str) -> Step:
    first, *rest = text.strip().split(":")
    name, equals, amount = first.partition("=")
    if name not in _STEPS:
        raise UsageError(f"augment {recipe}: unknown step {name!r}{did_you_mean(name, _STEPS)} "
                         f"Steps: {', '.join(_STEPS)}")  # fmt: skip
    if equals:
        return _exact(name, amount, rest, recipe)
    known = _STEPS[name]
    values: dict[str, float | Pair | None] = {n: number.default for n, number in known.items()}
    for place, word in enumerate(rest):
        option, named, value = word.partition("=")
        if not named:
            option, value = "", word
        if option not in known or (option == "" and place):
            options = ", ".join(f"{n}=…" for n in known if n)
            raise UsageError(f"augment {recipe}: {name} has no parameter {word!r}"
                             f"{did_you_mean(option, known) if option else ''} "
                             f"{f'Parameters: {options}' if options else ''}".rstrip())  # fmt: skip
        values[option] = _read(known[option], value, f"{name}:{option and option + '='}", text)
    if name == "colour":
        values = _colours(values, alone=rest != [] and "=" in rest[0])
    return Step(name, values)


def _colours(
    values: Mapping[str, float | Pair | None], *, alone: bool
) -> dict[str, float | Pair | None]:
    """Give each of the three its own number: the step's, or 0 where others are named alone."""
    usual = 0.0 if alone else values[""]
    given = {n: usual if v is None else v for n, v in values.items() if n}
    same = len(set(given.values())) == 1
    return {"": next(iter(given.values()))} | dict.fromkeys(given) if same else {"": None} | given


def _exact(name: str, amount: str, rest: Sequence[str], recipe: str) -> Step:
    if name not in _EXACT or rest:
        raise UsageError(f"augment {recipe}: only {' and '.join(f'{n}=…' for n in _EXACT)} can be "
                         f"exact; write {name}:… for a random amount")  # fmt: skip
    return Step(name, {"": _read(_EXACT[name], amount, f"{name}=", recipe)}, exact=True)


def _read(number: _Number, value: str, before: str, text: str) -> float | Pair:
    try:
        return number.read(value)
    except ValueError:
        raise UsageError(f"augment {text.strip()}: expected {before}N with N {number.expected}"
                         ) from None  # fmt: skip


def _text(value: float | Pair) -> str:
    return "-".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value:g}"


def parse_copies(copies: str | Sequence[str]) -> tuple[str, ...]:
    """Return what each copy beside an image is, as recipes of exact steps.

    Parameters
    ----------
    copies : str or sequence of str
        One entry a copy, joined by commas where it is text: ``rotate:10,rotate:20`` turns one by
        exactly 10 and one by exactly 20 degrees, counter-clockwise; ``flip+rotate:-10`` mirrors it
        first.

    Raises
    ------
    UsageError
        For a step that has no exact amount.
    """
    entries = copies.split(",") if isinstance(copies, str) else copies
    if not isinstance(entries, list | tuple) or not all(isinstance(e, str) for e in entries):
        raise UsageError(f"copies={copies!r}: expected such as rotate:10,rotate:20")
    made = []
    for entry in entries:
        if not entry.strip():
            continue
        steps = []
        for text in entry.split("+"):
            name, colon, amount = text.strip().replace("=", ":", 1).partition(":")
            if name in _STEPS and (name not in _EXACT or (name == "rotate" and not colon)):
                raise UsageError(f"copies {entry.strip()}: each copy is made by exact amounts: "
                                 "rotate:DEGREES or flip; augment is for random ones")  # fmt: skip
            steps.append(_step(f"{name}={amount or '1'}" if name in _EXACT else text, entry))
        made.append("+".join(map(str, steps)))
    return tuple(made)
