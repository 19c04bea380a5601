"""Pictures between bytes and arrays: decoded whatever they come as, fitted to a working size and back, encoded marked.

Arrays are `uint8`: pictures RGB [H, W, 3] in sRGB, masks {0, 1} [H, W], label maps ids [H, W]. What cannot be decoded
raises `RowError` with one of the codes in `PICTURE_CODES`.
"""

from atelier.images.decode import MAX_BYTES, MAX_PIXELS, decode_labels, decode_mask, decode_picture
from atelier.images.encode import encode_picture
from atelier.images.fit import Frame, fit, fit_keypoints, fit_labels, unfit
from atelier.images.marking import SOURCE_TYPES, SourceType, read_source_type
from atelier.images.opening import FORMATS, PICTURE_CODES
from atelier.images.renditions import MEDIA_TYPES, SUFFIXES, PictureFormat
from atelier.images.stripping import strip_metadata

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MEDIA_TYPES",
    "PICTURE_CODES",
    "SOURCE_TYPES",
    "SUFFIXES",
    "Frame",
    "PictureFormat",
    "SourceType",
    "decode_labels",
    "decode_mask",
    "decode_picture",
    "encode_picture",
    "fit",
    "fit_keypoints",
    "fit_labels",
    "read_source_type",
    "strip_metadata",
    "unfit",
]
