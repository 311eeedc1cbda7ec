"""What the index may say in clear and what not: authentication codes, wrapped study keys, small sealed boxes."""

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from priorline.cache.keys import KEY_BYTES, MasterKey, derive
from priorline.cache.seal import Data
from priorline.errors import CacheDamaged

_NONCE_BYTES = 12
_DAMAGED = "An entry of the cache's index is damaged; run “priorline cache verify --repair”."


class Vault:
    """Seals and finds for one cache; without a key (cache not encrypted) it passes everything through."""

    def __init__(self, key: MasterKey | None) -> None:
        self.encrypted = key is not None
        self.kept_in = key.kept_in if key else ""
        self._lookup = key.lookup_key if key else b"not encrypted"
        self._wrapping = key.wrapping_key if key else b""

    def code(self, kind: str, *values: str) -> bytes:
        """The code under which the index finds an identifier, without telling it: 32 bytes."""
        return self.digest("\0".join((kind, *values)).encode("utf-8", "surrogatepass"))

    def digest(self, data: Data) -> bytes:
        """The recorded digest of a content: keyed, so that nobody confirms a guessed file by it; 32 bytes."""
        return hmac.digest(self._lookup, data, "sha256")

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
        return derive(study_key, b"ticket " + bytes.fromhex(study + handle)) if self.encrypted else b""

    def close_box(self, study_key: bytes, handle: str, content: bytes) -> bytes:
        """`content` sealed for the index under a study's key, bound to the row's `handle`."""
        return self._close(derive(study_key, b"box"), content, handle.encode()) if self.encrypted else content

    def open_box(self, study_key: bytes, handle: str, box: bytes) -> bytes:
        """What `close_box` sealed; raises CacheDamaged where the box is changed or another row's."""
        return self._open(derive(study_key, b"box"), box, handle.encode()) if self.encrypted else box

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
