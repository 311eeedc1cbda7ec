"""The files of a study, read one by one: what is handed over is the dataset as it stands in the file.

Preamble and file meta information stay behind (PS3.10 7.1): a program that hides in a preamble goes no further.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from os import SEEK_END
from pathlib import Path

from priorline.archives.base import RetrieveSummary
from priorline.archives.folder_files import open_file, probe
from priorline.archives.folder_head import Damaged, file_head
from priorline.archives.folder_index import Instance
from priorline.archives.incoming import Announced, Incoming, Receiver, put

INSTANCE_MAX = (1 << 31) - 1
PIECE = 1 << 20
# In the words of PS3.4 C.4.3.1.4.
SUCCESS, SOME_FAILED, CANCELLED = 0, 0xB000, 0xFE00


class Trouble(StrEnum):
    """Why objects are not handed over, the beginning of a sentence that ends in their number."""

    NO_FILE = "Named by the DICOMDIR, but not there or not inside of the folder"
    UNREADABLE = "Cannot be read; try again, or copy the disc again"
    NOT_DICOM = "Damaged or no DICOM; copy the disc again"
    TOO_LARGE = "Larger than is taken (2 GiB)"


@dataclass(frozen=True, slots=True)
class Lacking:
    """An object that cannot be handed over, by its SOP Instance UID."""

    sop_uid: str
    trouble: Trouble


class Whole:
    """The object that was begun is whole."""


Found = Announced | bytes | Whole | Lacking | None
"""What reading brings: an object that begins, a piece of it, its end; one that is lacking; None in a pause."""


class HandOver:
    """Gives what `read_all` brings to a receiver; what cannot be is counted, and told in `message`."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._received, self._troubles = set[str](), dict[str, Trouble]()
        self._name = ""
        self._incoming: Incoming | None = None

    def run(self, found: Iterable[Found], cancelled: Callable[[], bool]) -> RetrieveSummary:
        """Until all is handed over or nobody wants it; raises what the receiver raises."""
        try:
            for one in found:
                if cancelled():
                    break
                self._take(one)
        finally:
            self._drop()
        # Of an object that lies in two files one is enough.
        counts = Counter(trouble for uid, trouble in self._troubles.items() if uid not in self._received)
        failed, is_cancelled, count = counts.total(), cancelled(), len(self._received)
        status = CANCELLED if is_cancelled else SOME_FAILED if failed else SUCCESS
        message = " ".join(f"{trouble}: {number} images." for trouble, number in counts.items())
        return RetrieveSummary(count, failed, 0, 0, status, count, is_cancelled, message)

    def _take(self, one: Found) -> None:
        match one:
            case Announced():
                self._name, self._incoming = one.sop_instance_uid, self._receiver(one)
            case bytes() if self._incoming is not None:
                put(self._incoming, one)
            case Whole() if self._incoming is not None:
                incoming, self._incoming = self._incoming, None
                incoming.finish()
                self._received.add(self._name)
            case Lacking():
                self._drop()
                self._troubles[one.sop_uid] = one.trouble

    def _drop(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.drop()


def read_all(name: str, root: Path, wanted: Iterable[Instance]) -> Generator[Found, None, None]:
    """The objects that are `wanted`, and those that are lacking; None while one is being read.

    Raises ArchiveError where the folder is gone.
    """
    for instance in wanted:
        try:
            yield from _read(root, instance)
        except OSError:
            # A disc that was taken out is said as that.
            probe(name, root)
            yield Lacking(instance.sop_uid, Trouble.UNREADABLE)
        except Damaged:
            yield Lacking(instance.sop_uid, Trouble.NOT_DICOM)


def _read(root: Path, instance: Instance) -> Iterator[Found]:
    """The object under the UIDs by which it is listed; that it is another one is found out on arrival."""
    if instance.place is None:
        yield Lacking(instance.sop_uid, Trouble.NO_FILE)
        return
    with open_file(root, instance.place) as stream:
        head = file_head(stream)
        if head is None:
            raise Damaged
        if stream.seek(0, SEEK_END) > INSTANCE_MAX:
            yield Lacking(instance.sop_uid, Trouble.TOO_LARGE)
            return
        stream.seek(head.start)
        yield Announced(instance.sop_class, instance.sop_uid, head.transfer_syntax)
        while piece := stream.read(PIECE):
            yield piece
    yield Whole()
