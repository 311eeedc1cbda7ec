"""The demo hospitals as DICOM nodes on loopback: C-ECHO, C-FIND and C-GET, Study Root (PS3.4 C.6.2)."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE, _config, evt

from priorline.archives.demo.answers import Match, find, wanted
from priorline.archives.demo.objects import SOP_CLASSES, Pixels, image
from priorline.archives.demo.story import HospitalStory, ImageSpec, hospitals

HOST = "127.0.0.1"
_VERIFICATION = "1.2.840.10008.1.1"
_STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_ENDING = 5.0
_SUCCESS, _PENDING, _CANCELLED, _UNABLE = 0x0000, 0xFF00, 0xFE00, 0xA900

# Its messages at INFO quote identifiers.
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False


@dataclass(frozen=True, slots=True)
class RunningHospital:
    """Where a demo hospital listens; `issuer` issues the numbers that it uses."""

    name: str
    ae_title: str
    host: str
    port: int
    issuer: str


class DemoHospitals:
    """All demo hospitals, from entering to leaving the context; nothing of them runs before or after.

    `pixels` computes one image (see `objects.image` for types and ranges) and may be called from several threads.
    `story` replaces the hospitals of today's story, for tests.
    """

    def __init__(self, pixels: Pixels, story: Sequence[HospitalStory] | None = None) -> None:
        # The day where the workstation stands, as a scanner would write it.
        self._story = tuple(story) if story is not None else hospitals(date.today())  # noqa: DTZ011
        self._pixels = _Memory(pixels)
        self._open = ExitStack()
        self.running: tuple[RunningHospital, ...] = ()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.running = tuple(self._start(stack, story) for story in self._story)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _start(self, stack: ExitStack, story: HospitalStory) -> RunningHospital:
        if story.listens:
            node = _Node(story, self._pixels)
            stack.callback(node.stop)
            port = node.port
        else:
            # Bound but not listening: refused, and nobody else can take the port meanwhile.
            held = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            held.bind((HOST, 0))
            port = int(held.getsockname()[1])
        return RunningHospital(story.name, story.ae_title, HOST, port, story.issuer)


class _Memory:
    """Pixels once computed; each image is computed by one thread only."""

    def __init__(self, pixels: Pixels) -> None:
        self._compute = pixels
        self._kept: dict[ImageSpec, npt.NDArray[np.generic]] = {}
        self._lock = threading.Lock()
        self._locks: dict[ImageSpec, threading.Lock] = {}

    def __call__(self, spec: ImageSpec) -> npt.NDArray[np.generic]:
        kept = self._kept.get(spec)
        if kept is not None:
            return kept
        with self._lock:
            its_own = self._locks.setdefault(spec, threading.Lock())
        with its_own:
            if spec not in self._kept:
                self._kept[spec] = self._compute(spec)
            return self._kept[spec]


class _Node:
    """One listening hospital."""

    def __init__(self, story: HospitalStory, pixels: Pixels) -> None:
        self._story, self._pixels = story, pixels
        self._ending = threading.Event()
        before = set(threading.enumerate())
        entity: Any = _entity(story.ae_title)
        self._server = entity.start_server(
            (HOST, 0),
            block=False,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _send_at_once),
                (evt.EVT_DATA_SENT, _acknowledge_at_once),
                (evt.EVT_C_ECHO, _echo),
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_GET, self._get),
            ],
        )
        self._threads = set(threading.enumerate()) - before
        self.port = int(self._server.server_address[1])

    def stop(self) -> None:
        """End listening and every association; returns when their threads are gone."""
        self._ending.set()
        self._server.shutdown()
        for association in self._server.active_associations:
            connection = association.dul.socket
            if connection is not None and connection.socket is not None:
                with suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)
            association.kill()
            association.dul.join(_ENDING)
            association.join(_ENDING)
        for thread in self._threads:
            if thread.name.startswith("AcceptorServer"):
                thread.join(_ENDING)

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        if self._ending.wait(self._story.find_delay):
            return
        try:
            rows = list(find(self._story, event.identifier))
        except ValueError:
            yield _UNABLE, None
            return
        for row in rows:
            if event.is_cancelled:
                yield _CANCELLED, None
                return
            yield _PENDING, row

    def _get(self, event: Any) -> Iterator[int | tuple[int, Dataset | None]]:
        matches = wanted(self._story, event.identifier)
        yield len(matches)
        for match in matches:
            if event.is_cancelled or self._ending.is_set():
                yield _CANCELLED, None
                return
            yield _PENDING, self._image(match)

    def _image(self, match: Match) -> Dataset:
        spec = match.study.series[match.series].spec(match.index)
        return image(self._story, match.study, match.series, match.index, self._pixels(spec))


def _entity(ae_title: str) -> AE:
    entity = AE(ae_title)
    entity.maximum_associations = 32
    # 16 kB, the default, makes thirty pieces of one slice.
    entity.maximum_pdu_size = 0
    for model in (
        _VERIFICATION,
        _STUDY_ROOT_FIND,
        _STUDY_ROOT_GET,
    ):
        entity.add_supported_context(model, _SYNTAXES)
    for sop_class in SOP_CLASSES.values():
        entity.add_supported_context(sop_class, _SYNTAXES, scu_role=True, scp_role=True)
    return entity


def _send_at_once(event: Any) -> None:
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _acknowledge_at_once(event: Any) -> None:
    """Spare a peer that uses Nagle's algorithm the wait of 40 ms for our delayed acknowledgement.

    Sending makes the system delay acknowledgements again, so this follows each sending.
    """
    connection, option = event.assoc.dul.socket, getattr(socket, "TCP_QUICKACK", None)
    if option is not None and connection is not None and connection.socket is not None:
        with suppress(OSError):
            connection.socket.setsockopt(socket.IPPROTO_TCP, option, 1)


def _echo(_event: Any) -> int:
    return _SUCCESS
