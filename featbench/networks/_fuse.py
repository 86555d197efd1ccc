"""Batch norm folded into the convolution before it, for networks that no longer train.

In eval mode a batch norm is one multiplication and one addition a channel, which the convolution
can do with its own weights (Jacob et al. 2018, section 3.2).
"""

import copy
import warnings
from collections.abc import Callable

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class _LayerTracer(fx.Tracer):
    """Looks inside everything but single layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.BatchNorm2d | nn.Conv2d) or not any(True for _ in m.children())


def fuse(module: nn.Module) -> nn.Module:
    """Return a copy in which every batch norm that follows a convolution alone is folded into it.

    Parameters
    ----------
    module : Module
        In eval mode. Parts whose forward cannot be traced keep theirs; what lies inside them is
        folded part by part.

    Returns
    -------
    Module
        For inference only: equal up to rounding.
    """
    return rewritten(copy.deepcopy(module), fold_norms)


def rewritten(module: nn.Module, *changes: Callable[[fx.GraphModule], None]) -> nn.Module:
    """Apply changes to a module's graph or, where it cannot be traced, to its parts' graphs.

    Parameters
    ----------
    module : Module
        Is itself changed; use the one returned.
    *changes : callable
        Each changes one graph in place.
    """
    tracer = _LayerTracer()
    try:
        graph = tracer.trace(module)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = fx.GraphModule(module, graph)
    except Exception:  # tracing runs the module's own code, which may do anything
        for name, child in list(module.named_children()):
            setattr(module, name, rewritten(child, *changes))
        return module
    for change in changes:
        change(whole)
    whole.graph.lint()
    whole.recompile()
    return whole


def fold_norms(whole: fx.GraphModule) -> None:
    """Fold every batch norm into the convolution that feeds it, and it alone."""
    for node in whole.graph.nodes:
        norm = layer_of(whole, node)
        if not isinstance(norm, nn.BatchNorm2d) or norm.training or norm.running_mean is None:
            continue
        source = node.args[0]
        if not isinstance(source, fx.Node) or len(source.users) != 1:
            continue
        convolution = layer_of(whole, source)
        if not isinstance(convolution, nn.Conv2d) or calls(whole, source, node) > 2:
            continue
        whole.set_submodule(str(source.target), fuse_conv_bn_eval(convolution, norm))
        activation = nn.Sequential(*norm.children()).eval()  # of timm's norms that have one
        whole.set_submodule(str(node.target), activation)


def layer_of(whole: fx.GraphModule, node: object) -> nn.Module | None:
    """Return the layer that a node calls, or None."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    return whole.get_submodule(str(node.target))


def calls(whole: fx.GraphModule, *nodes: fx.Node) -> int:
    """Count the calls of these nodes' layers: one called twice cannot be changed for one call."""
    targets = {node.target for node in nodes}
    return sum(node.op == "call_module" and node.target in targets for node in whole.graph.nodes)
