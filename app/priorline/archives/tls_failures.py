"""Why encryption was not agreed: with whom we call as one sentence that says what to do, with who calls as a fact."""

import ssl

from priorline.archives.tls import EXPIRED, NOT_PINNED, NOT_YET_VALID, ClientContext
from priorline.errors import ArchiveBroken, ArchiveError, ArchiveNotTrusted, ArchiveRefused

_EXPIRED = "its certificate has expired; ask its IT department for a new one"
_EARLY = "its certificate is not valid yet; check the clock of this computer, then ask its IT department"
_FOREIGN = "its certificate is not from the authority in tls.ca; check that file, then ask its IT department"
_LONE = "its certificate is signed by itself alone; name it in tls.ca if its IT department confirms that it is theirs"
_ELSEWHERE = "its certificate is for another host than {host}; check host, or pin its key with tls.pins"
_REVOKED = "its certificate was revoked; ask its IT department"
_LIST = "its certificate cannot be looked up: the revocation list in tls.crl is old or foreign; get the newest one"
_WEAK = "its certificate, or that of its authority, is too weak (SHA-1 or a short key); ask its IT department"
_UNPINNED = "its key is not one of those in tls.pins; ask its IT department whether it was changed"
# By the X509_V_ERR_* of OpenSSL.
_DISTRUST = {
    NOT_PINNED: _UNPINNED,
    2: _FOREIGN,
    3: _LIST,
    7: _FOREIGN,
    8: _LIST,
    NOT_YET_VALID: _EARLY,
    EXPIRED: _EXPIRED,
    11: _LIST,
    12: _LIST,
    18: _LONE,
    19: _FOREIGN,
    20: _FOREIGN,
    21: _FOREIGN,
    23: _REVOKED,
    33: _LIST,
    44: _LIST,
    62: _ELSEWHERE,
    64: _ELSEWHERE,
    66: _WEAK,
    67: _WEAK,
    68: _WEAK,
}
_OLD = "it speaks only versions of TLS before 1.2, which are not safe; ask its IT department for TLS 1.2 or 1.3"
_NO_METHOD = "it has no method of encryption that is safe; ask its IT department for the ciphers of BCP 195"
_CLEAR = "what answers there does not speak TLS, and nothing was sent to it; check host and port"
_BROKE_OFF = "broke off before encryption was agreed; check that its port speaks TLS"
_BROKE_OFF_AFTER = "broke off when encryption was agreed; ask its IT department whether it knows our certificate"
_WANTS_OURS = "it wants a certificate of this workstation; name one in tls.certificate and tls.key"
_NOT_OURS = "it does not accept our certificate (tls.certificate); ask its IT department to register it, or renew it"
# By the reason that OpenSSL gives; an ALERT is what the peer said.
_NOT_SAFE = {
    "UNSUPPORTED_PROTOCOL": _OLD,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _NO_METHOD,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": _NO_METHOD,
    "DH_KEY_TOO_SMALL": _NO_METHOD,
    "WRONG_SIGNATURE_TYPE": _NO_METHOD,
    "WRONG_VERSION_NUMBER": _CLEAR,
    "RECORD_LAYER_FAILURE": _CLEAR,
    "PACKET_LENGTH_TOO_LONG": _CLEAR,
    "UNEXPECTED_MESSAGE": _CLEAR,
}
_OUR_CERTIFICATE = {
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "TLSV1_ALERT_UNKNOWN_CA",
    "TLSV1_ALERT_ACCESS_DENIED",
    "TLSV1_ALERT_DECRYPT_ERROR",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED",
}


def failure(name: str, host: str, context: ClientContext, problem: OSError, agreed: bool = False) -> ArchiveError:
    """What `problem` of a connection means for the hospital called `name`, which is addressed as `host`.

    `agreed` tells whether both sides had chosen a method, as what comes after that is about certificates. An
    ArchiveNotTrusted is our no, an ArchiveRefused theirs, and an ArchiveBroken says only that the connection ended.
    """
    if isinstance(problem, ssl.SSLCertVerificationError):
        why = _DISTRUST.get(problem.verify_code, "its certificate is not acceptable; ask its IT department")
        return ArchiveNotTrusted(f"{name} is not trusted: {why.format(host=host)}.")
    reason = (problem.reason or "") if isinstance(problem, ssl.SSLError) else ""
    if reason in _OUR_CERTIFICATE or (agreed and reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"):
        return ArchiveRefused(f"{name} refused the connection: {_WANTS_OURS if not context.presents else _NOT_OURS}.")
    if reason in _NOT_SAFE:
        return ArchiveNotTrusted(f"{name} is not asked: {_NOT_SAFE[reason]}.")
    return ArchiveBroken(f"{name} {_BROKE_OFF_AFTER if agreed else _BROKE_OFF}.")


BROKE_OFF = "began encryption and broke off before it was agreed"
_SHOWED = "showed a certificate "
_CALLER_FOREIGN = _SHOWED + "that is not from the authority in tls.ca"
_CALLER_LIST = _SHOWED + "that the revocation list in tls.crl, which is old or foreign, does not tell of"
_CALLER_WEAK = _SHOWED + "that, or whose authority's, is too weak (SHA-1 or a short key)"
_CALLER_DISTRUST = {
    _FOREIGN: _CALLER_FOREIGN,
    _LONE: _CALLER_FOREIGN,
    _LIST: _CALLER_LIST,
    _WEAK: _CALLER_WEAK,
    _UNPINNED: _SHOWED + "of a key that is not one of those in tls.pins",
    _EXPIRED: _SHOWED + "that has expired",
    _EARLY: _SHOWED + "that is not valid yet",
    _REVOKED: _SHOWED + "that was revoked",
}
_INVALID_PURPOSE = 26
_CALLER_OLD = "offered only versions of TLS before 1.2"
_CALLER_NO_METHOD = "offered no method of encryption that is safe"
_CALLER_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "showed no certificate",
    "UNSUPPORTED_PROTOCOL": _CALLER_OLD,
    "NO_SHARED_CIPHER": _CALLER_NO_METHOD,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": _CALLER_NO_METHOD,
    "NO_SHARED_SIGNATURE_ALGORITHMS": _CALLER_NO_METHOD,
    "WRONG_SIGNATURE_TYPE": _CALLER_NO_METHOD,
    **dict.fromkeys(_OUR_CERTIFICATE, "did not accept our certificate (tls.certificate)"),
}


def fault_of_caller(problem: OSError) -> str:
    """What somebody did who opened a connection to us, on which `problem` came up before encryption was agreed."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        if problem.verify_code == _INVALID_PURPOSE:
            return _SHOWED + "that is not meant for who calls (extended key usage)"
        return _CALLER_DISTRUST.get(_DISTRUST.get(problem.verify_code, ""), _SHOWED + "that is not acceptable")
    if not isinstance(problem, ssl.SSLError) or isinstance(problem, ssl.SSLEOFError):
        return BROKE_OFF
    return _CALLER_REASONS.get(problem.reason or "", "sent what TLS does not allow")
