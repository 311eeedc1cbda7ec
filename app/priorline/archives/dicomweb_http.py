"""One GET to a hospital's DICOMweb service (PS3.18 8): who asks, what its status means, where nothing is followed."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from priorline.archives.dicomweb_body import Body
from priorline.archives.dicomweb_connection import Connection
from priorline.archives.dicomweb_peer import DicomWebPeer
from priorline.archives.watch import Fault, Watch
from priorline.errors import ArchiveBroken, ArchiveRefused

UNAUTHORISED, FORBIDDEN, TOO_MANY = 401, 403, 429
GONE = (404, 410)


class NotThere(ArchiveRefused):
    """The service has nothing at this path."""


class NotTaken(ArchiveRefused):
    """The service does not take the request as it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that is not an error: headers by lower-case name, and the content as it comes."""

    status: int
    headers: dict[str, str]
    body: Body


@contextmanager
def ask(peer: DicomWebPeer, watch: Watch, target: str, accept: str, body_max: int) -> Iterator[Answer]:
    """GET `target` below the peer's address for the body of a `with`; the connection ends with it.

    Where the token is no longer taken, the one that its file holds by then is tried once. A redirect is not followed.
    Raises ArchiveError for every status but 2xx, NotThere for 404 and 410; Cancelled.
    """
    token = peer.token()
    with _exchange(peer, watch, _request(peer, target, accept, token), body_max) as answer:
        if answer.status != UNAUTHORISED:
            yield _checked(peer, answer)
            return
    renewed = peer.token()
    if renewed == token:
        raise _not_allowed(peer, UNAUTHORISED)
    with _exchange(peer, watch, _request(peer, target, accept, renewed), body_max) as answer:
        yield _checked(peer, answer)


@contextmanager
def _exchange(peer: DicomWebPeer, watch: Watch, request: bytes, body_max: int) -> Iterator[Answer]:
    with closing(Connection(peer, watch)) as connection:
        watch.phase(Fault.ACSE_SILENT, peer.timeouts.acse, watch.remaining())
        connection.secure()
        connection.send(request)
        status, headers = connection.head()
        watch.phase(Fault.STALLED, peer.timeouts.progress, watch.remaining())
        yield Answer(status, headers, Body(connection, peer.name, status, headers, body_max))


def _request(peer: DicomWebPeer, target: str, accept: str, token: str) -> bytes:
    lines = [
        f"GET {peer.path}{target} HTTP/1.1",
        f"Host: {peer.authority}",
        f"Accept: {accept}",
        # A few compressed bytes can be gigabytes.
        "Accept-Encoding: identity",
        "User-Agent: Priorline",
        "Connection: close",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _checked(peer: DicomWebPeer, answer: Answer) -> Answer:
    """The answer, where its status lets the asker make something of it."""
    status, name = answer.status, peer.name
    if 300 <= status < 400:
        raise ArchiveBroken(
            f"{name} sends us on to another address, which is not followed; put the right url into the configuration."
        )
    if status in (UNAUTHORISED, FORBIDDEN):
        raise _not_allowed(peer, status)
    if status == TOO_MANY:
        raise ArchiveRefused(f"{name} is asked too often (HTTP status {status}); try again later.")
    if status in GONE:
        raise NotThere(f"{name} does not have this study, or no longer (HTTP status {status}).")
    if status >= 500:
        raise ArchiveBroken(f"{name} has a fault of its own (HTTP status {status}); try again, then ask its IT.")
    if status >= 400:
        raise NotTaken(f"{name} refused the request (HTTP status {status}); ask its IT department why.")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise ArchiveBroken(f"{name} compresses its answers, which was not asked for; ask its IT department.")
    return answer


def _not_allowed(peer: DicomWebPeer, status: int) -> ArchiveRefused:
    if status == FORBIDDEN:
        reason = "we may not ask that there; its IT department has to allow it"
    elif peer.token_file is None:
        reason = "it wants to know who asks; set token_file or a certificate in the configuration"
    else:
        reason = "it does not take our token; renew the one in token_file"
    return ArchiveRefused(f"{peer.name} refused the request: {reason} (HTTP status {status}).")
