"""A network with a cut: what lies below it is frozen, what lies above it is trained."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from featbench.errors import UsageError, did_you_mean
from featbench.networks._blocks import Block, find_blocks
from featbench.networks._final_layer import find_classifier, replace_classifier
from featbench.networks._registry import NETWORKS, Builder, Built
from featbench.networks._sized import at_size
from featbench.networks._small import is_small, spell
from featbench.networks._trace import FEATURES, PIXELS, Trace, trace, weight_count
from featbench.networks._weights import (
    RUN,
    GivenWeights,
    is_weights_file,
    load_strictly,
    read_weights,
    sha256_of_tensors,
    under,
)
from featbench.networks.timm_zoo import PREFIX, build_timm, check_timm


class FrozenPrefix(nn.Module):
    """What lies below a cut: always in eval mode, and no parameter takes a gradient.

    Parameters
    ----------
    body : Module
        From pixels to the value at the cut.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "FrozenPrefix":
        """Stay in eval mode whatever is asked: frozen batch norm keeps its statistics."""
        super().train(False)
        return self

    def forward(self, x: torch.Tensor) -> Any:
        """Return the value at the cut, or the tuple of several, for normalised pixels."""
        return self.body(x)


@dataclass(frozen=True)
class Cut:
    """A network in two halves; the suffix after the prefix is the whole network.

    Parameters
    ----------
    at : str
        The place: a layer whose output the cut passes, ``features`` or ``pixels``.
    prefix : FrozenPrefix
        From pixels to the value at the cut.
    suffix : Module
        From there to logits; its parameters are the network's own.
    """

    at: str
    prefix: FrozenPrefix
    suffix: nn.Module


class Network:
    """A network, its weights, and the preprocessing that belongs to them.

    Parameters
    ----------
    name : str
        As given to ``create_network``.
    built : Built
        The module with its weights.
    """

    def __init__(self, name: str, built: Built) -> None:
        self.name = name
        self.weights = built.weights
        self.preprocessing = built.preprocessing
        self.module = built.module.eval()
        self.classifier = find_classifier(self.module)

    @functools.cached_property
    def sha256(self) -> str:
        """The sha256 over the weights and buffers of all but the classifier."""
        tensors = self.module.state_dict().items()
        return sha256_of_tensors({n: t for n, t in tensors if not under(n, self.classifier)})

    def forget_sha256(self) -> None:
        """Say that weights were changed: what is computed with them has another name now."""
        vars(self).pop("sha256", None)

    @functools.cached_property
    def trace(self) -> Trace | None:
        """The shallow trace; None where the forward has control flow that cannot be traced."""
        with FakeTensorMode(allow_non_fake_inputs=True):
            example = self._example(2)
            try:
                return trace(self.module, self.classifier, example)
            except Exception as error:  # tracing runs the model's own code
                self.untraced_because = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                return None

    @functools.cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The weight-bearing stages in order, without the classifier."""
        return () if self.trace is None else find_blocks(self.module, self.classifier, self.trace)

    @property
    def layers(self) -> tuple[str, ...]:
        """Every place where the network can be cut, in order; the last one is ``features``."""
        return (FEATURES,) if self.trace is None else tuple(self.trace.places)

    def shape_at(self, at: str = FEATURES) -> tuple[int, ...]:
        """Return the shape of one image's value at a place, by arithmetic on shapes alone."""
        self._check_place(at)
        if self.trace is not None:
            return self.trace.shapes[at]
        prefix = self.cut(at).prefix
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            return tuple(prefix(self._example(1)).shape[1:])

    def _example(self, count: int) -> torch.Tensor:
        device = next(self.module.parameters()).device
        return torch.empty(count, *self.preprocessing.shape, device=device)

    def cut(self, at: str = FEATURES) -> Cut:
        """Cut the network; freezes what lies below and lets all that lies above train.

        Parameters
        ----------
        at : str
            One of ``layers``, or ``pixels``.

        Returns
        -------
        Cut
            ``suffix(prefix(x))`` equals ``module(x)``; both halves use the network's own tensors.

        Raises
        ------
        UsageError
            When the network cannot be cut there.
        """
        if at == PIXELS:
            self.module.requires_grad_(True)
            return Cut(at, FrozenPrefix(nn.Identity()), self.module)
        self._check_place(at)
        if self.trace is None:
            before: nn.Module = _BeforeClassifier(self.module, self.classifier)
            after: nn.Module = self.module.get_submodule(self.classifier)
        else:
            place = self.trace.places[at]
            before, after = self.trace.build(None, place), self.trace.build(place, None)
        after.requires_grad_(True)
        return Cut(at, FrozenPrefix(before), after)

    def taps(self, layers: Sequence[str]) -> FrozenPrefix:
        """Return one frozen module that gives the values at several layers from one forward.

        Parameters
        ----------
        layers : sequence of str
            Of ``layers``; its forward returns a tuple in this order.

        Raises
        ------
        UsageError
            When the network cannot be cut at one of them.
        """
        for layer in layers:
            self._check_place(layer)
        if self.trace is None:
            return FrozenPrefix(_Single(_BeforeClassifier(self.module, self.classifier)))
        return FrozenPrefix(self.trace.taps(layers))

    def _check_place(self, at: str) -> None:
        if at in self.layers:
            return
        why = f" (its forward cannot be traced: {self.untraced_because})" if not self.trace else ""
        raise UsageError(
            f"{self.name} cannot be cut at {at!r}{did_you_mean(at, self.layers)}{why} "
            f"Places: {', '.join(self.layers)}"
        )

    def place_of(self, blocks: int | str) -> str:
        """Return where to cut so that the last blocks train.

        Parameters
        ----------
        blocks : int or str
            The last so many blocks; a block or layer name, to train from that one on; or ``all``.

        Raises
        ------
        UsageError
            When there is no such block.
        """
        named = {block.name: block.starts_at for block in self.blocks}
        if blocks == "all" or blocks == PIXELS:
            return PIXELS
        if isinstance(blocks, int) or str(blocks).isdigit():
            count = int(blocks)
            if count == 0:
                return FEATURES
            if 0 < count <= len(self.blocks):
                return self.blocks[-count].starts_at
            raise UsageError(
                f"blocks={blocks}: {self.name} has {len(self.blocks)} blocks"
                f"{': ' + ', '.join(named) if named else ''}; or use all"
            )
        if blocks in named:
            return named[blocks]
        raise UsageError(
            f"blocks={blocks}: {self.name} has no such block"
            f"{did_you_mean(blocks, [*named, 'all'])} Blocks: {', '.join(named)}; or 0 (the "
            "classifier alone), 1, …, all"
        )

    def first_trained(self, blocks: int | str) -> str:
        """Return the first block that trains: ``classifier`` for 0, ``pixels`` for all."""
        place = self.place_of(blocks)
        if place == FEATURES:
            return "classifier"
        return next((b.name for b in self.blocks if b.starts_at == place != PIXELS), PIXELS)

    def parameters(self, blocks: int | str = 0) -> tuple[int, int]:
        """Return the total number of parameters, and how many train with these blocks."""
        at = self.place_of(blocks)
        trained = self.module if at == PIXELS else self.cut(at).suffix
        return weight_count(self.module), weight_count(trained)

    def block_parameters(self) -> dict[str, int]:
        """Return the number of parameters of each block in order, the classifier's last."""
        counts = [self.parameters(block.name)[1] for block in self.blocks]
        counts.append(self.parameters(0)[1])
        names = [block.name for block in self.blocks] + ["classifier"]
        own = [here - above for here, above in zip(counts, [*counts[1:], 0], strict=True)]
        return dict(zip(names, own, strict=True))


class _BeforeClassifier(nn.Module):
    """Runs a network that cannot be traced up to its classifier, and returns what that gets."""

    def __init__(self, module: nn.Module, classifier: str) -> None:
        super().__init__()
        self.module, self._classifier = module, classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        layer = self.module.get_submodule(self._classifier)
        hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self.module(x)
        finally:
            hook.remove()
        return seen[-1]


class _Single(nn.Module):
    """Gives a module's value as a tuple of one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.module(x),)


def check_network(name: str) -> str:
    """Return a network's name in its one spelling; raise UsageError where there is none such.

    Parameters
    ----------
    name : str
        As in ``create_network``.
    """
    name = spell(name)
    base = name.partition(":")[0]
    if base.startswith(PREFIX):
        check_timm(base)
    else:
        NETWORKS[base]
    return name


def create_network(
    name: str,
    weights: str | GivenWeights = "default",
    classes: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Network:
    """Create a network by name.

    Parameters
    ----------
    name : str
        A torchvision classifier, ``efficientnet_lite0`` (weights install with pip), one of our
        own small networks (options may follow: ``lenet5:batch_norm=true:dropout=0.2``), or
        ``timm/NAME``; ``featbench networks`` lists them. Of pretrained ones the picture's size may
        be another: ``mobilenet_v2:size=64:resize=72``.
    weights : str or GivenWeights
        ``default``, ``random``, a name that the source knows, or a .safetensors or .pth file; or
        what ``find_weights`` returns for ``run:ID``: all but the classifier is loaded.
    classes : int, optional
        Replace the classifier by a fresh one with so many outputs; None keeps it.
    seed : int
        Seeds random weights and a fresh classifier; the caller's random state is left alone.
    **options
        In place of those in the name: ``create_network("fcnet", hidden=(200, 100), size=32)``. The
        network's ``name`` has them in it, and gives the same network again.

    Returns
    -------
    Network
        In eval mode.

    Raises
    ------
    UsageError
        For an unknown network or option, weights that do not exist or do not fit.
    FeatbenchError
        When weights are neither on this machine nor to be downloaded.
    """
    name = spell(name, **options)
    builder = _builder(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = _built(builder, name, weights)
        if classes is not None:
            torch.manual_seed(seed)
            replace_classifier(built.module, classes)
    return Network(name, built)


def _builder(name: str) -> Builder:
    base = name.partition(":")[0]
    builder = build_timm if base.startswith(PREFIX) else NETWORKS[base]
    return builder if name == base or is_small(name) else at_size(builder, name)


def _built(builder: Builder, name: str, weights: str | GivenWeights) -> Built:
    if isinstance(weights, GivenWeights):
        built = builder(name, "random")
        module = built.module
        replace_classifier(module, weights.outputs)  # a distilled network's second one too
        weights.load_body(module, find_classifier(module), name)
        steps, own = weights.preprocessing, built.preprocessing
        if name != weights.network:  # options differ: sizes are the options', numbers the weights'
            steps = own.with_statistics(steps.mean, steps.std)
        return Built(module, weights.name, steps)
    if weights.startswith(RUN):
        raise UsageError(f"--weights {weights}: a run's weights are found by featbench.experiments."
                         "find_weights; give create_network what it returns")  # fmt: skip
    if not is_weights_file(weights):
        return builder(name, weights)
    path, built = Path(weights).expanduser(), builder(name, "random")
    _load_file(built.module, path)
    return Built(built.module, path.name, built.preprocessing)


def _load_file(module: nn.Module, path: Path) -> None:
    """Load a weights file, whose classifier may have another number of classes."""
    tensors = read_weights(path)
    classifier = find_classifier(module)
    outputs = tensors.get(f"{classifier}.weight")
    if outputs is not None and outputs.shape != module.get_parameter(f"{classifier}.weight").shape:
        replace_classifier(module, len(outputs))
    load_strictly(module, tensors, f"--weights {path}")
