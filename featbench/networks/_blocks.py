"""The blocks of a network: its weight-bearing stages in order, one name each.

One level: the root's children, and where the body is one plain container (``features``, ``blocks``,
``stages``, ``encoder.layers``), its children. What precedes the first stage is ``stem``; weights
that follow the last stage (final norm, ``conv_head``) belong to the last block.
"""

from dataclasses import dataclass

from torch import nn

from featbench.networks._trace import FEATURES, PIXELS, Trace, weight_count

STEM = "stem"
_SMALL_BESIDE_THE_BODY = 0.15


@dataclass(frozen=True)
class Block:
    """One trainable stage.

    Parameters
    ----------
    name : str
        As ``featbench networks show`` lists it.
    starts_at : str
        The place whose value it takes: cut there to train from this block on.
    """

    name: str
    starts_at: str


def find_blocks(module: nn.Module, classifier: str, traced: Trace) -> tuple[Block, ...]:
    """Return the blocks in order, without the classifier.

    Parameters
    ----------
    module : Module
        The network.
    classifier : str
        Its classifier's name, or the empty string.
    traced : Trace
        Its trace.
    """
    expanded = _expanded(module, classifier)
    units: dict[str, int] = {}  # each unit's name to the index of its first node
    for index, path in traced.weighted():
        if path != classifier:
            units.setdefault(_unit(path, expanded), index)
    starts = _stage_starts(module, units)
    blocks: list[Block] = []
    for name, index in starts.items():
        place = _place_before(traced, index)
        if place is None:
            continue  # not a place to cut: its weights belong to the block before
        if blocks and blocks[-1].starts_at == place:
            continue
        blocks.append(Block(name, place))
    return tuple(blocks)


def _expanded(module: nn.Module, classifier: str) -> set[str]:
    """Return the names of the containers whose children are stages; the root is ''."""
    parents = {"", *(classifier[:i] for i, letter in enumerate(classifier) if letter == ".")}
    expanded = set(parents)
    at, here = "", module
    while True:
        children = {f"{at}.{name}".lstrip("."): child for name, child in here.named_children()}
        holders = {
            path: weight_count(child)
            for path, child in children.items()
            if path not in parents and path != classifier and _is_stage(child)
        }
        if not holders:
            return expanded
        largest = max(holders, key=lambda path: holders[path])
        beside = sum(holders.values()) - holders[largest]
        if beside > _SMALL_BESIDE_THE_BODY * holders[largest] or _is_convolution(children[largest]):
            return expanded
        if beside == 0 and len(holders) == 1 and not _several(children[largest]):
            return expanded
        at, here = largest, children[largest]
        expanded.add(at)


def _is_stage(module: nn.Module) -> bool:
    """Say whether a module is more than one layer: it has children with weights."""
    return any(weight_count(child) for child in module.children())


def _is_convolution(module: nn.Module) -> bool:
    """Say whether a module is one convolution or linear layer with its norm and activation."""
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return len(layers) == 1


def _several(module: nn.Module) -> bool:
    """Say whether a module has more than one child with weights."""
    return sum(1 for child in module.children() if weight_count(child)) > 1


def _unit(path: str, expanded: set[str]) -> str:
    """Return the child of an expanded container that ``path`` lies in."""
    parts = path.split(".")
    for depth in range(1, len(parts) + 1):
        if ".".join(parts[:depth]) not in expanded:
            return ".".join(parts[:depth])
    return path


def _stage_starts(module: nn.Module, units: dict[str, int]) -> dict[str, int]:
    """Group units into blocks; return each block's name and the index of its first node."""

    def layer(name: str) -> nn.Module | None:
        try:
            return module.get_submodule(name)
        except AttributeError:
            return None  # a bare parameter, such as a class token

    stages = [name for name in units if (m := layer(name)) is not None and _is_stage(m)]
    starts: dict[str, int] = {}
    if stages:
        if next(iter(units)) not in stages:
            starts[STEM] = 0
        starts |= {name: units[name] for name in stages}
        return starts
    for name, index in units.items():
        if isinstance(layer(name), nn.Conv2d | nn.Linear):
            starts[name] = index
    return starts


def _place_before(traced: Trace, index: int) -> str | None:
    """Return the latest place whose value everything from node ``index`` on hangs on alone."""
    if not any(i < index for i, _ in traced.weighted()):
        return PIXELS
    before = [
        name
        for name, node in traced.places.items()
        if name != FEATURES and traced.alone_from[node] < index
    ]
    return before[-1] if before else None
