"""How a connection to our storage SCP begins: in clear or by TLS; in the thread that serves it, under its watch."""

import socket
import ssl
from contextlib import suppress

from priorline.archives.sockets import POLL
from priorline.archives.tls import ServerContext
from priorline.archives.watch import Watch

# What every connection by TLS begins with (RFC 8446 5.1), and no association does (PS3.8 9.3.1).
TLS_HANDSHAKE = b"\x16"


def first_byte(sock: socket.socket, watch: Watch) -> bytes:
    """The first byte that comes, which stays to be read; empty at the end, or when the watch is over."""
    sock.settimeout(POLL)
    while watch.check():
        try:
            return sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            continue
        except OSError:
            break
    return b""


def begin_tls(sock: socket.socket, context: ServerContext) -> ssl.SSLSocket:
    """The same connection, whose descriptor it takes over, for TLS that is still to be agreed."""
    return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)


def agree(secure: ssl.SSLSocket, watch: Watch) -> bool:
    """Shake hands; False when the watch is over. Raises OSError where TLS is not agreed or the peer not trusted."""
    while watch.check():
        with suppress(TimeoutError):
            secure.do_handshake()
            return True
    return False


def shut(sock: socket.socket) -> None:
    """Wake who waits at it in another thread."""
    with suppress(OSError):
        # An SSLSocket's own would take TLS away from under a handshake.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
