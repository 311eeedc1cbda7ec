"""A hospital of few lines that is asked for images by name (IMAGE-level C-GET), and may do all that it must not.

It speaks by hand-written PDUs, so that thousands of images and associations cost the test little, and streams pixels,
so that an image of any size is never held whole.
"""

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from priorline.archives.base import DicomPeer, Timeouts
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import StudyAnswer

FIND, MOVE, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3"
CT_IMAGE, MR_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
STUDY = "1.2.826.0.1.3680043.8.498.7"
PATIENT_ID, NAME = "PL-0042", "Jansen^Piet"
PDU_MOST = 131072 - 6
COMMAND, LAST = 1, 2
C_STORE_RQ, C_GET_RSP, C_FIND_RSP, C_MOVE_RSP = 0x0001, 0x8010, 0x8020, 0x8021
NO_DATASET, WITH_DATASET = 0x0101, 0x0001
PENDING = 0xFF00
PIXELS = 0x7FE00010
MARKER = b"PLAINTEXT-MARKER"
BLOCK = MARKER * 4096
ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"
RELEASED = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"


@dataclass(frozen=True)
class Image:
    """One instance: `head` is its dataset without pixels, of which `pixels` bytes (even) follow."""

    series_uid: str
    sop_uid: str
    head: bytes
    pixels: int = 0
    sop_class: str = CT_IMAGE

    def pieces(self) -> Iterator[bytes]:
        """The dataset."""
        pixels = struct.pack("<HH2sHL", PIXELS >> 16, PIXELS & 0xFFFF, b"OW", 0, self.pixels)
        yield self.head + pixels if self.pixels else self.head
        for at in range(0, self.pixels, len(BLOCK)):
            yield BLOCK[: self.pixels - at]


def series_of(number: int) -> str:
    """The UID of a series."""
    return f"{STUDY}.{number}"


def image(number: int, series: int = 1, pixels: int = 128, sop_class: str = CT_IMAGE, **tags: object) -> Image:
    """Image `number`, from 1, of a series of the study; `tags` make it another one."""
    dataset = Dataset()
    uid = f"{series_of(series)}.{number}"
    side = 8
    values: dict[str, object] = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": uid,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": series_of(series),
        "PatientID": PATIENT_ID,
        "PatientName": NAME,
        "PatientBirthDate": "19610405",
        "PatientSex": "M",
        "Modality": "CT",
        "InstanceNumber": number,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "NumberOfFrames": max(1, pixels // (side * side * 2)) if pixels < 1 << 20 else max(1, pixels >> 20),
        "Rows": side if pixels < 1 << 20 else 1024,
        "Columns": side if pixels < 1 << 20 else 512,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        **tags,
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return Image(series_of(series), uid, encode(dataset, False, True) or b"", pixels, sop_class)


def row(images: int | None = None) -> StudyAnswer:
    """What the hospital tells of the study."""
    return StudyAnswer("Hospital North", STUDY, Patient(Identifier(PATIENT_ID), NAME), images=images)


class Gone(Exception):
    """This connection is at its end."""


class Connection:
    """One association at the hospital; `sent` counts its images, `number` is from 0 in the order of coming."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket, self.number, self.sent = sock, number, 0
        self.contexts: dict[str, int] = {}
        self.syntaxes: dict[int, str] = {}

    def abort(self) -> None:
        """Say that it is over (A-ABORT, PS3.8 9.3.8)."""
        self.socket.sendall(ABORT)
        raise Gone

    def reset(self) -> None:
        """Vanish, as a firewall does (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        raise Gone

    def agree(self) -> bool:
        """Accept every context with its first transfer syntax, and every role."""
        request = self.read_pdu()
        if request[0] != 1:
            return False
        items, roles, at = b"", b"", 74
        while at < len(request):
            kind, length = request[at], struct.unpack_from(">H", request, at + 2)[0]
            body = request[at + 4 : at + 4 + length]
            if kind == 0x20:
                items += self._context(body)
            elif kind == 0x50:
                roles = b"".join(item_of(0x54, one) for told, one in items_in(body) if told == 0x54)
            at += 4 + length
        user = item_of(0x50, item_of(0x51, struct.pack(">L", 16384)) + item_of(0x52, b"1.2.3") + roles)
        payload = request[6:74] + item_of(0x10, b"1.2.840.10008.3.1.1.1") + items + user
        self.socket.sendall(b"\x02\x00" + struct.pack(">L", len(payload)) + payload)
        return True

    def _context(self, body: bytes) -> bytes:
        (_, abstract), (_, syntax) = list(items_in(body[4:]))[:2]
        self.contexts.setdefault(abstract.decode(), body[0])
        self.syntaxes[body[0]] = syntax.decode()
        return item_of(0x21, bytes((body[0], 0, 0, 0)) + item_of(0x40, syntax))

    def read_pdu(self) -> bytes:
        """One whole PDU with its header."""
        header = self._exactly(6)
        return header + self._exactly(struct.unpack(">L", header[2:])[0])

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise Gone
            data += more
        return data

    def command(self, values: dict[int, int | str], context: int) -> None:
        """Send a command set (PS3.7 6.3.1)."""
        self.socket.sendall(pdu(context, COMMAND | LAST, command_set(values)))

    def store(self, image: Image, announced: tuple[str, str] | None = None, cut: int | None = None) -> None:
        """Send an image and read the answer; `announced` are class and UID where others are told than it has.

        With `cut` it ends before so many pieces of the dataset.
        """
        context = self.contexts[image.sop_class]
        sop_class, sop_uid = announced or (image.sop_class, image.sop_uid)
        values = {0x0002: sop_class, 0x0100: C_STORE_RQ, 0x0110: 7, 0x0700: 0, 0x0800: WITH_DATASET, 0x1000: sop_uid}
        held = bytearray(pdu(context, COMMAND | LAST, command_set(values)))
        for number, piece in enumerate(image.pieces()):
            if number == cut:
                self.socket.sendall(held)
                return
            for at in range(0, len(piece), PDU_MOST):
                held += pdu(context, 0, piece[at : at + PDU_MOST])
            if len(held) > 1 << 17:
                self.socket.sendall(held)
                held.clear()
        self.socket.sendall(held + pdu(context, LAST, b""))
        if self.read_pdu()[0] != 4:
            raise Gone
        self.sent += 1


def sending_to(port: int) -> Connection:
    """A connection on which it sends by C-MOVE; to be closed."""
    connection = Connection(socket.create_connection(("127.0.0.1", port), 10), 0)
    connection.contexts = {CT_IMAGE: 3}
    connection.socket.sendall(association_request())
    connection.read_pdu()
    return connection


@dataclass
class Hospital:
    """A context: inside it listens at `peer`.

    `picks` chooses what is sent of what was asked for by name (`by_name`) or as a series or study; `before` is called
    ahead of each image; `status` is the final status of a retrieval, None for an answer without one, from whether it
    was by name and how much was sent; `move` sends by C-MOVE where that is wanted, and it is told that one failed.
    `lists` is false where it refuses IMAGE-level C-FIND.
    """

    images: Sequence[Image]
    picks: Callable[[list[Image], bool], list[Image]] = lambda asked, _by_name: asked
    before: Callable[[Connection, Image], None] = lambda _connection, _image: None
    status: Callable[[bool, int], int | None] = lambda _by_name, _sent: 0
    store: Callable[[Connection, Image], None] = lambda connection, image: connection.store(image)
    welcome: Callable[[Connection], None] = lambda _connection: None
    move: Callable[[], None] | None = None
    lists: bool = True
    associations: int = 4
    timeouts: Timeouts = field(default=Timeouts(connect=5.0, acse=5.0, progress=5.0, query=30.0))
    sent: list[str] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._threads: list[threading.Thread] = []
        self._sockets: set[socket.socket] = set()
        self._gets = 0
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    @property
    def peer(self) -> DicomPeer:
        """Where it is."""
        port = self._listener.getsockname()[1]
        return DicomPeer(
            "Hospital North", "ARCHIVE", "127.0.0.1", port, "PRIORLINE", self.associations, self.timeouts
        )

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.add(sock)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, Gone), sock:
            connection = Connection(sock, -1)
            if connection.agree():
                self._converse(connection)
        self._sockets.discard(sock)

    def _converse(self, connection: Connection) -> None:
        while (command := connection.read_pdu())[0] == 4:
            context, asked = command[10], connection.read_pdu()[12:]
            implicit = connection.syntaxes[context] == IMPLICIT
            identifier = decode(BytesIO(asked), implicit, True)
            if self.move is not None and connection.contexts.get(MOVE) == context:
                self.move()
                values = {0x0002: MOVE, 0x0100: C_MOVE_RSP, 0x0120: 1, 0x0800: NO_DATASET, 0x0900: 0xB000}
                connection.command(values | {0x1022: 1}, context)
            elif connection.contexts.get(FIND) == context:
                self._find(connection, context, identifier)
            else:
                self._get(connection, context, identifier)
        connection.socket.sendall(RELEASED)
        connection.read_pdu()

    def _find(self, connection: Connection, context: int, identifier: Dataset) -> None:
        level = str(identifier.QueryRetrieveLevel)
        values = {0x0002: FIND, 0x0100: C_FIND_RSP, 0x0120: 1, 0x0800: NO_DATASET, 0x0900: 0}
        if level == "IMAGE" and not self.lists:
            connection.command(values | {0x0900: 0xA900}, context)
            return
        for row in self._rows(level, str(identifier.get("SeriesInstanceUID", ""))):
            row.QueryRetrieveLevel = level
            connection.command(values | {0x0800: WITH_DATASET, 0x0900: PENDING}, context)
            implicit = connection.syntaxes[context] == IMPLICIT
            connection.socket.sendall(pdu(context, LAST, encode(row, implicit, True) or b""))
        connection.command(values, context)

    def _rows(self, level: str, series_uid: str) -> Iterator[Dataset]:
        seen: dict[str, Dataset] = {}
        counts = Counter(one.series_uid for one in self.images)
        for number, one in enumerate(self.images):
            if series_uid not in ("", one.series_uid):
                continue
            row = seen.setdefault(one.series_uid if level == "SERIES" else one.sop_uid, Dataset())
            row.StudyInstanceUID, row.SeriesInstanceUID = STUDY, one.series_uid
            row.Modality = "CT"
            row.NumberOfSeriesRelatedInstances = counts[one.series_uid]
            if level == "IMAGE":
                row.SOPInstanceUID, row.SOPClassUID, row.InstanceNumber = one.sop_uid, one.sop_class, number
        yield from (row for row in seen.values() if level == "SERIES" or row.SeriesInstanceUID == series_uid)

    def _get(self, connection: Connection, context: int, identifier: Dataset) -> None:
        if connection.number < 0:
            with self._lock:
                connection.number, self._gets = self._gets, self._gets + 1
            self.welcome(connection)
        level = str(identifier.QueryRetrieveLevel)
        named, series = identifier.get("SOPInstanceUID"), identifier.get("SeriesInstanceUID")
        uids = [] if not named else [str(named)] if isinstance(named, str) else [str(uid) for uid in named]
        self.asked.append((level, len(uids)))
        asked = [one for one in self.images if series in (None, one.series_uid)]
        asked = [one for one in asked if one.sop_uid in uids] if uids else asked
        sent = 0
        for one in self.picks(asked, bool(uids)):
            self.before(connection, one)
            self.sent.append(one.sop_uid)
            self.store(connection, one)
            sent += 1
        status = self.status(bool(uids), sent)
        told = {} if status is None else {0x0900: status}
        connection.command(
            {0x0002: GET, 0x0100: C_GET_RSP, 0x0120: 1, 0x0800: NO_DATASET, **told, 0x1021: sent}, context
        )


def association_request() -> bytes:
    """An A-ASSOCIATE-RQ to store CT images with us, in context 3."""
    contexts = b""
    for number, name in ((1, "1.2.840.10008.1.1"), (3, CT_IMAGE)):
        body = bytes((number, 0, 0, 0)) + item_of(0x30, name.encode()) + item_of(0x40, EXPLICIT.encode())
        contexts += item_of(0x20, body)
    user = item_of(0x50, item_of(0x51, struct.pack(">L", 16384)) + item_of(0x52, b"1.2.3"))
    titles = b"PRIORLINE".ljust(16) + b"ARCHIVE".ljust(16)
    body = b"\0\1\0\0" + titles + bytes(32) + item_of(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user
    return b"\x01\0" + struct.pack(">L", len(body)) + body


def items_in(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Items of an association PDU (PS3.8 9.3)."""
    at = 0
    while at < len(body):
        kind, length = body[at], struct.unpack_from(">H", body, at + 2)[0]
        yield kind, body[at + 4 : at + 4 + length]
        at += 4 + length


def item_of(kind: int, body: bytes) -> bytes:
    """One of them."""
    return struct.pack(">BBH", kind, 0, len(body)) + body


def pdu(context: int, control: int, piece: bytes) -> bytes:
    """A P-DATA-TF with one fragment (PS3.8 9.3.5)."""
    return struct.pack(">BBLLBB", 4, 0, len(piece) + 6, len(piece) + 2, context, control) + piece


def command_set(values: dict[int, int | str]) -> bytes:
    """An encoded command set with its group length."""
    body = b""
    for number, value in sorted(values.items()):
        encoded = struct.pack("<H", value) if isinstance(value, int) else value.encode() + b"\0" * (len(value) % 2)
        body += struct.pack("<HHL", 0, number, len(encoded)) + encoded
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body
