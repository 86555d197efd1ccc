"""From an image's bytes (or an array's pixels) to RGB, by stated rules."""

import hashlib
import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features
from PIL import __version__ as _pillow_version

from featbench.errors import BrokenImageError

Raw = bytes | NDArray[Any]
"""A picture as its source holds it: a file's bytes, or an array (height, width[, 3]) of uint8."""

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # at half that limit
_ALPHA = {"RGBA", "LA", "PA", "La", "RGBa"}


def digest(raw: Raw) -> str:
    """Return the sha256 (64 hex characters) that names this picture's content.

    Parameters
    ----------
    raw : bytes or ndarray
        A file's bytes; or an array, of which dtype, shape and pixels count.
    """
    if isinstance(raw, bytes):
        return hashlib.sha256(raw).hexdigest()
    header = f"{raw.dtype.str} {raw.shape} ".encode()
    return hashlib.sha256(header + np.ascontiguousarray(raw).tobytes()).hexdigest()


def decode(raw: Raw) -> Image.Image:
    """Return the picture upright, in RGB with 8 bits a channel.

    EXIF orientation is applied; of an animation the first frame counts; transparency is laid over
    white; grey, palette and CMYK are converted by Pillow; 16-bit grey keeps its high byte. More
    than 178,956,970 pixels are refused: Pillow's limit against decompression bombs.

    Parameters
    ----------
    raw : bytes or ndarray
        A file's bytes, or an array (height, width) or (height, width, 3) of uint8.

    Raises
    ------
    BrokenImageError
        When the bytes are no image that can be decoded whole.
    """
    try:
        image = Image.fromarray(raw) if isinstance(raw, np.ndarray) else Image.open(io.BytesIO(raw))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)
    except BrokenImageError:
        raise
    except UnidentifiedImageError as error:
        reason = "not an image in a known format" if len(raw) else "empty file"
        raise BrokenImageError(reason) from error
    except Exception as error:  # decoders raise anything at all on hostile bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BrokenImageError(reason) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        if image.mode == "I" and image.format != "PPM":
            raise BrokenImageError("32-bit integer pixels have no stated range")
        high_byte = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
        return Image.fromarray(high_byte).convert("RGB")
    if image.mode == "F":
        raise BrokenImageError("floating-point pixels have no stated range")
    if image.mode in _ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def decoder_version() -> str:
    """Return the decoder and its codecs' versions: part of what a feature is."""
    codecs = [f"{name} {features.version(name)}" for name in ("jpg", "zlib", "webp", "libtiff")]
    return f"pillow {_pillow_version} ({', '.join(codecs)})"
