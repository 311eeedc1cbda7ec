"""What the index may say in clear and what not: authentication codes, wrapped study keys, small sealed boxes."""

import hmac
import os
from collections.abc import Iterable
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from priorline.cache.keys import KEY_BYTES, MasterKey
from priorline.cache.seal import SEGMENT, Data
from priorline.errors import CacheDamaged

CODE_BYTES = 16
_NONCE_BYTES = 12
_DAMAGED = "An entry of the cache's index is damaged; run “priorline cache verify --repair”."


class Vault:
    """Seals and finds for one cache; without a key (cache not encrypted) it passes everything through."""

    def __init__(self, key: MasterKey | None) -> None:
        self.encrypted = key is not None
        self.kept_in = key.kept_in if key else ""
        lookup = key.lookup_key if key else b"not encrypted"
        self._codes = HMAC(lookup, SHA256())
        self._hash = AESGCM(_code_of(self._codes, b"hash of contents"))
        self._wrapping = key.wrapping_key if key else b""

    def code(self, kind: str, *values: str) -> bytes:
        """The code under which the index finds an identifier, without telling it: 16 bytes."""
        return self._short("\0".join((kind, *values)).encode("utf-8", "surrogatepass"))

    def digest(self, data: Data) -> bytes:
        """The recorded digest of a content: keyed, so that nobody confirms a guessed file by it; 16 bytes.

        GMAC of each segment, which is a universal hash several times as fast as SHA-256, and over its tags HMAC, so
        that they are not told: told together with their contents they would give the hash's key away.
        """
        view = memoryview(data).cast("B")
        cuts = range(0, max(len(view), 1), SEGMENT)
        return self.digest_of([self.tag(view[start : start + SEGMENT]) for start in cuts])

    def tag(self, segment: Data) -> bytes:
        """What one segment of a content adds to its digest; not to be told anybody."""
        return self._hash.encrypt(bytes(_NONCE_BYTES), b"", segment)

    def digest_of(self, tags: Iterable[bytes]) -> bytes:
        """The digest of a content whose segments have these tags."""
        return self._short(b"content" + b"".join(tags))

    def _short(self, data: bytes) -> bytes:
        return _code_of(self._codes, data)[:CODE_BYTES]

    def new_study_key(self, study: str) -> tuple[bytes, bytes]:
        """A fresh key for the study handle `study`, and the same wrapped; both empty where nothing is encrypted."""
        if not self.encrypted:
            return b"", b""
        key = os.urandom(KEY_BYTES)
        return key, self._close(self._wrapping, key, b"study key" + study.encode())

    def study_key(self, study: str, wrapped: bytes) -> bytes:
        """The key of a study; raises CacheDamaged where the wrapped key is not this study's."""
        return self._open(self._wrapping, wrapped, b"study key" + study.encode()) if self.encrypted else b""

    def ticket_key(self, study_key: bytes, study: str, handle: str) -> bytes:
        """The key that opens one object only; empty where nothing is encrypted."""
        return _code_of(_tickets(study_key), b"object" + bytes.fromhex(study + handle)) if self.encrypted else b""

    def close_box(self, study_key: bytes, handle: bytes, content: bytes) -> bytes:
        """`content` sealed for the index; `handle` is random, 16 bytes, and used for one box only."""
        if not self.encrypted:
            return content
        # A handle that never comes back is a nonce, and need not be stored twice.
        return _box_cipher(study_key).encrypt(handle[:_NONCE_BYTES], content, handle)

    def open_box(self, study_key: bytes, handle: bytes, box: bytes) -> bytes:
        """What `close_box` sealed; raises CacheDamaged where the box is changed or another row's."""
        if not self.encrypted:
            return box
        try:
            return _box_cipher(study_key).decrypt(handle[:_NONCE_BYTES], box, handle)
        except (InvalidTag, ValueError) as error:
            raise CacheDamaged(_DAMAGED) from error

    @staticmethod
    def _close(key: bytes, content: bytes, aad: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(key).encrypt(nonce, content, aad)

    @staticmethod
    def _open(key: bytes, box: bytes, aad: bytes) -> bytes:
        try:
            return AESGCM(key).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], aad)
        except (InvalidTag, ValueError) as error:
            raise CacheDamaged(_DAMAGED) from error


def _code_of(begun: HMAC, data: bytes) -> bytes:
    """HMAC-SHA-256 of `data` with the key of `begun`: to begin costs several times what the rest does."""
    code = begun.copy()
    code.update(data)
    return code.finalize()


# The rows of a study come one after another; as few studies as are worked on at once.
@lru_cache(maxsize=16)
def _box_cipher(study_key: bytes) -> AESGCM:
    return AESGCM(hmac.digest(study_key, b"index", "sha256"))


@lru_cache(maxsize=16)
def _tickets(study_key: bytes) -> HMAC:
    return HMAC(study_key, SHA256())
