"""A network's classifier, its final layer: which one it is, and a fresh one in its place."""

from torch import nn

from featbench.errors import FeatbenchError


def find_classifier(module: nn.Module) -> str:
    """Return the name of the final Linear or 1×1 convolution; empty for a headless network.

    Of a distilled network's two, both fed by the features, it is the first.
    """
    if hasattr(module, "get_classifier"):  # timm says which
        head = module.get_classifier()  # type: ignore[operator]
        if isinstance(head, tuple):
            head = head[0]
        if isinstance(head, nn.Identity):
            return ""
        return next((name for name, m in module.named_modules() if m is head), "")
    last = ""
    for name, m in module.named_modules():
        if isinstance(m, nn.Linear) or (isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)):
            last = name
    return last


def replace_classifier(module: nn.Module, classes: int) -> None:
    """Put a freshly initialised final layer in the classifier's place.

    Parameters
    ----------
    module : Module
        Is changed.
    classes : int
        Outputs of the new layer.
    """
    name = find_classifier(module)
    old = module.get_submodule(name)
    new: nn.Module
    if hasattr(module, "reset_classifier"):  # timm's; it knows the headless and the two-headed
        heads = module.get_classifier()  # type: ignore[operator]
        if not isinstance(heads, nn.Conv2d | nn.Linear):
            module.reset_classifier(classes)  # type: ignore[operator]
            return
    if isinstance(old, nn.Conv2d):
        new = nn.Conv2d(old.in_channels, classes, 1, bias=old.bias is not None)
    elif isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, classes, bias=old.bias is not None)
    else:
        raise FeatbenchError(
            f"the classifier {name!r} is a {type(old).__name__}, which cannot be "
            "replaced; create the network without classes"
        )
    owner, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(owner), leaf, new)
