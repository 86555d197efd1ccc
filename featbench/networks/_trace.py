"""A network's forward as a line of whole modules, by a shallow torch.fx trace.

The trace looks inside containers only (plain Sequentials, modules that hold over half of the
weights, the classifier's parents), so a block stays whole with its dropout and drop-path. A *place*
is a value after which nothing else that depends on the input is still needed: there the network
can be cut in two. Constants (class token, position embedding) go to the side that uses them.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

PIXELS = "pixels"
FEATURES = "features"


def weight_count(module: nn.Module) -> int:
    """Return how many parameters a module holds."""
    return sum(p.numel() for p in module.parameters())


class _Whole(nn.Module):
    """Hides a forward's optional arguments (``attn_mask=None``, …) from the trace."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.m = module

    def forward(self, x: torch.Tensor) -> Any:
        return self.m(x)


class _ShallowTracer(fx.Tracer):
    def __init__(self, module: nn.Module, classifier: str) -> None:
        super().__init__()
        self._whole, self._classifier = module, f"m.{classifier}"
        self._half = weight_count(module) / 2

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if m is self._whole:
            return False
        is_container = (
            type(m).forward is nn.Sequential.forward
            or self._classifier.startswith(module_qualified_name + ".")
            or weight_count(m) > self._half
        )
        return not (is_container and any(True for _ in m.children()))


@dataclass
class Trace:
    """The nodes of a forward, the values that depend on the input, and the places to cut.

    Parameters
    ----------
    nodes : list of fx.Node
        In the order they run; the last one is the output.
    parts : dict of str to Any
        The network's own modules and tensors that the nodes name.
    last_use : dict of fx.Node to int
        For every input-dependent value the index of the node that uses it last.
    places : dict of str to fx.Node
        Names to values where the network can be cut, in order; the last one is ``features``.
    alone_from : dict of fx.Node to int
        For such a value the index of the node after which nothing else is still needed.
    shapes : dict of str to tuple of int
        The shape of one image's value at each place.
    overwritten : set of fx.Node
        Values that something later writes into; a suffix that begins there works on a copy.
    """

    nodes: list[fx.Node]
    parts: dict[str, Any]
    last_use: dict[fx.Node, int]
    places: dict[str, fx.Node] = field(default_factory=dict)
    alone_from: dict[fx.Node, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    overwritten: set[fx.Node] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.index = {node: i for i, node in enumerate(self.nodes)}

    def build(self, begin: fx.Node | None, end: fx.Node | None) -> fx.GraphModule:
        """Return what runs after ``begin`` (None: the input) up to ``end`` (None: the output)."""
        graph, copied = fx.Graph(), {}
        if begin is not None:
            given = graph.placeholder("activation")
            copied[begin] = (
                graph.call_method("clone", (given,)) if begin in self.overwritten else given
            )

        def copy(node: fx.Node) -> fx.Node:
            if node not in copied:
                for argument in node.all_input_nodes:
                    copy(argument)
                copied[node] = graph.node_copy(node, lambda n: copied[n])
            return copied[node]

        first = 0 if begin is None else self.alone_from[begin] + 1
        last = len(self.nodes) - 2 if end is None else self.alone_from[end]
        for node in self.nodes[first : last + 1]:
            if node in self.last_use:
                copy(node)
        result = self.nodes[-1].args[0] if end is None else end
        assert isinstance(result, fx.Node)
        graph.output(copied[result])
        used = {str(n.target) for n in graph.nodes if n.op in ("call_module", "get_attr")}
        with warnings.catch_warnings():  # fx warns of names that shadow; the parts are exact
            warnings.simplefilter("ignore")
            return fx.GraphModule({name: self.parts[name] for name in used}, graph)

    def taps(self, places: Sequence[str]) -> fx.GraphModule:
        """Return what runs up to the last of these places; it gives the values at all of them.

        A value that is written into later is copied first.
        """
        ends = [self.places[name] for name in places]
        whole = self.build(None, max(ends, key=lambda node: self.alone_from[node]))
        by_name = {node.name: node for node in whole.graph.nodes}
        (output,) = (node for node in whole.graph.nodes if node.op == "output")
        values = []
        for end in ends:
            value = by_name[end.name]
            if end in self.overwritten and value is not output.args[0]:
                with whole.graph.inserting_after(value):
                    copied = whole.graph.call_method("clone", (value,))
                values.append(copied)
            else:
                values.append(value)
        output.args = (tuple(values),)
        whole.graph.lint()
        whole.recompile()
        return whole

    def weighted(self) -> list[tuple[int, str]]:
        """Return (index, name) of every node with weights, in the order they are used."""
        return [
            (i, str(n.target))
            for i, n in enumerate(self.nodes)
            if isinstance(part := self.parts.get(str(n.target)), nn.Parameter)
            or (isinstance(part, nn.Module) and weight_count(part))
        ]


def trace(module: nn.Module, classifier: str, example: torch.Tensor) -> Trace:
    """Trace a network and find its places.

    Parameters
    ----------
    module : Module
        The network with its final classifier; put into eval mode.
    classifier : str
        The classifier's name, or the empty string for a network without one.
    example : Tensor, shape (2, channels, height, width)
        Shows which values are batches; a fake tensor does.

    Raises
    ------
    Exception
        Whatever the trace meets in a forward with dynamic control flow.
    """
    whole = _Whole(module).eval()
    nodes = list(_ShallowTracer(module, classifier).trace(whole).nodes)
    result = Trace(nodes, _name_parts(nodes, whole), _last_uses(nodes))
    ends = _module_ends(result)
    names: dict[fx.Node, str] = {}
    for path, node in sorted(ends.items(), key=lambda e: len(e[0])):
        names.setdefault(node, path)  # the outermost module that ends there names the place
    result.alone_from = _single_values(result)
    feature = _feature(result, classifier)
    result.alone_from.setdefault(feature, result.index[feature])
    single = [v for v in result.alone_from if result.index[v] < result.index[feature]]
    taken = {names[v] for v in single if v in names}
    places = {names.get(v, v.name if v.name not in taken else f"{v.name}_"): v for v in single}
    places[FEATURES] = feature
    shapes, written = _watch(result, example)
    result.places = {name: node for name, node in places.items() if node.name in shapes}
    result.shapes = {name: shapes[node.name] for name, node in result.places.items()}
    result.overwritten = {
        node
        for node in result.places.values()
        if node.name in written or any(_in_place(result, user) for user in node.users)
    }
    return result


def _name_parts(nodes: list[fx.Node], whole: nn.Module) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for node in nodes:
        if node.op in ("call_module", "get_attr"):
            owner, _, leaf = str(node.target).rpartition(".")
            value = getattr(whole.get_submodule(owner), leaf)
            node.target = str(node.target).removeprefix("m.")
            parts[node.target] = value
        elif (
            node.target is functional.dropout
        ):  # the trace fixed its training=False: make it a module
            chance = node.args[1] if len(node.args) > 1 else node.kwargs.get("p", 0.5)
            parts[node.name] = nn.Dropout(float(str(chance))).eval()
            node.op, node.target, node.args, node.kwargs = (
                "call_module",
                node.name,
                node.args[:1],
                {},
            )
    return parts


def _last_uses(nodes: list[fx.Node]) -> dict[fx.Node, int]:
    index = {node: i for i, node in enumerate(nodes)}
    last_use: dict[fx.Node, int] = {}
    for i, node in enumerate(nodes):
        if node.op == "placeholder" or any(a in last_use for a in node.all_input_nodes):
            last_use[node] = max((index[user] for user in node.users), default=i)
    return last_use


def _module_ends(result: Trace) -> dict[str, fx.Node]:
    """Map each module's name to the last input-dependent node that ran inside it."""
    ends: dict[str, fx.Node] = {}
    for node in result.last_use:
        for path, _ in node.meta.get("nn_module_stack", {}).values():
            name = path.removeprefix("m.")
            if name not in ("", "m", FEATURES, PIXELS):
                ends[name] = node
    return ends


def _single_values(result: Trace) -> dict[fx.Node, int]:
    """Return each value that is the only one still needed, and the node after which it is."""
    found: dict[fx.Node, int] = {}
    for i in range(len(result.nodes) - 1):
        live = [n for n, use in result.last_use.items() if result.index[n] <= i < use]
        if len(live) == 1 and live[0].op != "placeholder":
            found.setdefault(live[0], i)
    return found


def _feature(result: Trace, classifier: str) -> fx.Node:
    """Return the last single value with weights after it, before any dropout."""
    output = result.nodes[-1].args[0]
    assert isinstance(output, fx.Node)
    if not classifier:
        return output
    last_weights = max(i for i, _ in result.weighted())
    node = [v for v, i in result.alone_from.items() if i < last_weights][-1]
    while isinstance(result.parts.get(str(node.target)), nn.Dropout | nn.Identity):
        (node,) = node.all_input_nodes
    return node


def _in_place(result: Trace, node: fx.Node) -> bool:
    part = result.parts.get(str(node.target))
    return bool(node.kwargs.get("inplace") or getattr(part, "inplace", False))


@contextlib.contextmanager
def as_before(module: nn.Module) -> Iterator[None]:
    """Undo what a forward stores in its modules: a fake forward's tensors must not stay there."""
    held = [part.__dict__ for part in module.modules()]  # with its buffers and caches, all dicts
    held += [value for one in held for value in one.values() if isinstance(value, dict)]
    before = [dict(one) for one in held]
    try:
        yield
    finally:
        for one, content in zip(held, before, strict=True):
            one.clear()
            one.update(content)


def _watch(result: Trace, example: torch.Tensor) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Run once; return the shape of an image's value at each node, and what is written into later.

    Nodes whose value is not a batch with a row for each image have no shape.
    """

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if torch.is_tensor(value):
                seen.append((n.name, value, value._version))
            return value

    seen: list[tuple[str, torch.Tensor, int]] = []
    whole = result.build(None, None)
    with torch.no_grad(), as_before(whole):
        Recorder(whole).run(example)
    shapes = {
        name: tuple(value.shape[1:])
        for name, value, _ in seen
        if value.ndim and len(value) == len(example)
    }
    return shapes, {name for name, value, version in seen if value._version > version}
