"""Instances as files."""

from priorline.archives.base import part10_head
from priorline.archives.incoming import Received


def file_of(received: Received, ae_title: str) -> bytes:
    """The DICOM file that the cache keeps of it."""
    return part10_head(received, ae_title) + received.dataset
