"""Instances as archives hand them over, and as files."""

from priorline.archives.base import part10_head
from priorline.archives.incoming import Received, Receiver, put


def give(receiver: Receiver, received: Received) -> None:
    """Hand an instance over as an archive does."""
    incoming = receiver(received)
    put(incoming, received.dataset)
    incoming.finish()


def file_of(received: Received, ae_title: str) -> bytes:
    """The DICOM file that the cache keeps of it."""
    return part10_head(received, ae_title) + received.dataset
