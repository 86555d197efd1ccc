"""Batch norm folded into the convolution before it, for networks that no longer train.

In eval mode a batch norm is one multiplication and one addition a channel, which the convolution
can do with its own weights (Jacob et al. 2018, section 3.2).
"""

import copy
import warnings

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
    return _fused(copy.deepcopy(module))


def _fused(module: nn.Module) -> nn.Module:
    tracer = _LayerTracer()
    try:
        graph = tracer.trace(module)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = fx.GraphModule(module, graph)
    except Exception:  # tracing runs the module's own code, which may do anything
        for name, child in list(module.named_children()):
            setattr(module, name, _fused(child))
        return module
    for node in whole.graph.nodes:
        _fold(whole, node)
    whole.graph.lint()
    return whole


def _fold(whole: fx.GraphModule, node: fx.Node) -> None:
    """Fold this node's batch norm into the convolution that feeds it, and it alone."""
    norm = _layer(whole, node)
    if not isinstance(norm, nn.BatchNorm2d) or norm.training or norm.running_mean is None:
        return
    source = node.args[0]
    if not isinstance(source, fx.Node) or len(source.users) != 1:
        return
    convolution = _layer(whole, source)
    if not isinstance(convolution, nn.Conv2d) or _uses(whole, source) > 1 or _uses(whole, node) > 1:
        return
    whole.set_submodule(str(source.target), fuse_conv_bn_eval(convolution, norm))
    whole.set_submodule(str(node.target), nn.Sequential(*norm.children()))  # its activation, if any


def _layer(whole: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return whole.get_submodule(str(node.target)) if node.op == "call_module" else None


def _uses(whole: fx.GraphModule, node: fx.Node) -> int:
    """Count the calls of this node's module: one that is called twice cannot be changed for one."""
    return sum(n.op == "call_module" and n.target == node.target for n in whole.graph.nodes)
