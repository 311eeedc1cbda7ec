"""What the datasets of instances begin with: enough to say what they are, whatever else is in them."""

import struct
import zlib

from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID

from priorline.archives.encoded import elements
from priorline.archives.translate import Row

HEAD_MAX = 1 << 20


def read_head(encoded: bytes, transfer_syntax: UID, last: str) -> Row | None:
    """What a dataset begins with, up to and with the element `last`; None where that cannot be read.

    The first MiB is looked at, of a deflated dataset (PS3.5 A.5) inflated, so that no dataset takes long.
    """
    implicit = transfer_syntax.is_implicit_VR
    try:
        head = inflated(encoded) if transfer_syntax.is_deflated else encoded
        return Row(elements(head[:HEAD_MAX], implicit=implicit, last=tag_for_keyword(last) or 0), implicit=implicit)
    except (struct.error, zlib.error):
        return None


def inflated(encoded: bytes) -> bytes:
    """The first MiB of a deflated dataset; raises zlib.error where it is damaged."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded, HEAD_MAX)
