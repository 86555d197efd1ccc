"""The cache key: all that turns an image's bytes into a row, and nothing else."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from featbench.datasets import decoder_version
from featbench.extraction._half import FLOAT32, check_storage
from featbench.networks import FEATURES, Network

FORMAT = 1


@dataclass(frozen=True)
class FeatureSpec:
    """What a feature space is. Its key hangs on every field, and on no path, label or split.

    Parameters
    ----------
    network : str
        The network's name.
    weights_sha256 : str
        Over all its weights and buffers but the classifier's.
    layer : str
        The place whose value is kept.
    pooling : str
        ``none`` (the value as it is), ``avg`` or ``max`` over positions, ``cls`` or ``flat``.
    preprocessing : dict
        Every step, with its interpolation.
    decoder : str
        The image decoder and its codecs' versions.
    exif : str
        What is done about EXIF orientation.
    precision : str
        Of the forward pass.
    storage : str
        How rows are kept: ``float32``; or ``half``, 16 bits a value (see ``_half.py``).
    view : str
        The augmentation recipe; ``none`` for the image itself.
    view_seed : int
        Seeds the views.
    format : int
        The version of this description and of the shards.
    """

    network: str
    weights_sha256: str
    layer: str
    pooling: str
    preprocessing: dict[str, Any]
    decoder: str
    exif: str = "applied"
    precision: str = "float32"
    view: str = "none"
    view_seed: int = 0
    format: int = FORMAT
    storage: str = FLOAT32

    @property
    def key(self) -> str:
        """The sha256 of the description as sorted JSON: 64 hex characters."""
        return key_of(self._plain())

    def as_json(self) -> str:
        """Return the description as JSON with sorted keys."""
        return _as_json(self._plain())

    def _plain(self) -> dict[str, Any]:
        """Leave out ``storage`` where it is float32: spaces and models of before go on."""
        plain = asdict(self)
        if self.storage == FLOAT32:
            del plain["storage"]
        return plain


def key_of(description: dict[str, Any]) -> str:
    """Return the key of a spec that is given as plain data: sha256 of its sorted JSON."""
    return hashlib.sha256(_as_json(description).encode()).hexdigest()


def _as_json(description: dict[str, Any]) -> str:
    return json.dumps(description, sort_keys=True, indent=1)


def spec_of(
    network: Network,
    layer: str = FEATURES,
    pooling: str = "none",
    *,
    precision: str = "float32",
    view: str = "none",
    view_seed: int = 0,
    storage: str = FLOAT32,
) -> FeatureSpec:
    """Describe what a network's forward up to a layer gives.

    Parameters
    ----------
    network : Network
        The frozen network.
    layer : str
        One of its ``layers``.
    pooling, precision, view, view_seed, storage
        As in ``FeatureSpec``.
    """
    return FeatureSpec(
        network=network.name,
        weights_sha256=network.sha256,
        layer=layer,
        pooling=pooling,
        preprocessing=network.preprocessing.as_dict(),
        decoder=decoder_version(),
        precision=precision,
        view=view,
        view_seed=view_seed,
        storage=check_storage(storage),
    )
