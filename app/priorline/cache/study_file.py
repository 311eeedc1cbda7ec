"""The sealed file of a study: the one place where its key is, and all that an index must know of the study.

Layout: the study's key, wrapped by the master key (60 bytes; nothing where the cache is not encrypted), then a
container (see `seal`) with the record, under a new name each time it is written. Without this file every object of
the study is noise, so its removal is what removes the study.
"""

import secrets
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from priorline.cache.files import CacheFiles
from priorline.cache.owners import Owner
from priorline.cache.seal import object_name, seal, unseal
from priorline.cache.sealed_file import read_bytes
from priorline.cache.vault import Vault
from priorline.domain.study import StudyAnswer
from priorline.errors import CacheDamaged, CacheError

T = TypeVar("T")
WRAPPED = 60


class StudyRecord(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed: the hospital's answer, `expected` images, `whole`: how many made it complete (0: it is not).

    `withheld`: somebody took back whose it is, so nothing of it is shown. `owed`: the archives of the department that
    the study has not been sent to yet; a debt goes with its study, and names it nowhere else.
    """

    answer: StudyAnswer
    expected: int
    fetched_at: int
    whole: int = 0
    pinned: bool = False
    pin_reason: str = ""
    withheld: bool = False
    owed: tuple[str, ...] = ()


class ObjectRecord(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed at the head of an object; `reason` says why it is set apart, "" where it may be shown."""

    sop_uid: str
    series_uid: str
    digest: bytes
    header: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StudyKey:
    """A study's key and the same wrapped; both empty where nothing is encrypted."""

    key: bytes = field(repr=False)
    wrapped: bytes = field(repr=False)


def write_study(
    files: CacheFiles, vault: Vault, owner: Owner, handle: str, key: StudyKey, record: StudyRecord
) -> None:
    """Put the file of the study `handle` in its place, durably and at once."""
    # A new name with every writing: it makes a new key, and no key may seal two records.
    turn = secrets.token_hex(16)
    body = seal(pack(record), vault.ticket_key(key.key, handle, turn), bytes.fromhex(handle + turn))
    content = key.wrapped + body
    files.write_study_file(owner, handle, content)


def read_study(files: CacheFiles, vault: Vault, handle: str) -> tuple[StudyKey, StudyRecord]:
    """Key and record of the study `handle`; raises CacheDamaged where they are gone, changed or another study's."""
    content = read_bytes(files.study_path(handle))
    wrapped = content[:WRAPPED] if vault.encrypted else b""
    key = StudyKey(vault.study_key(handle, wrapped), wrapped)
    body = content[len(wrapped) :]
    turn = object_name(body)[16:]
    ticket = vault.ticket_key(key.key, handle, turn.hex())
    return key, unpack(unseal(body, ticket, bytes.fromhex(handle) + turn), StudyRecord)


def pack(value: StudyRecord | ObjectRecord) -> bytes:
    """The bytes of a record; raises CacheError where a text in it is no text."""
    try:
        return msgspec.msgpack.encode(value)
    except UnicodeEncodeError as error:
        raise CacheError("The hospital sent text that is no text, so this image or study is not kept.") from error


def unpack(content: bytes, kind: type[T]) -> T:
    """The record in these bytes; raises CacheDamaged."""
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise CacheDamaged("A record in the cache is damaged; run “priorline cache verify --repair”.") from error
