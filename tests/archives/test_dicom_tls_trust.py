"""Whom a hospital's pins, its own authority and its list of revoked certificates let in."""

from typing import Any

import pytest

import peers
import tls_peers
from certificates import Authority, Issued, new_key
from peers import nothing_left_running  # noqa: F401 - a fixture for every test here
from priorline.archives.dicom import DicomArchive
from priorline.errors import ArchiveNotTrusted


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def until_released(connection: Any) -> None:
    peers.accept_association(connection)
    peers.read_pdu(connection)
    connection.close()


def answers(issued: Issued, **settings: Any) -> bool:
    with peers.raw(tls_peers.over_tls(tls_peers.server(issued), until_released)) as peer:
        return DicomArchive(tls_peers.secured(peer, **settings)).accepts_get()


@pytest.mark.parametrize("with_authority", [True, False])
def test_the_pinned_key_and_its_successor_are_accepted_and_no_third(
    authority: Authority, with_authority: bool
) -> None:
    now, successor, third = (authority.issue(alone=not with_authority) for _ in range(3))
    settings = {"pins": (now.pin, successor.pin), **({"ca": authority.file} if with_authority else {})}
    assert answers(now, **settings)
    assert answers(successor, **settings)
    with pytest.raises(ArchiveNotTrusted, match="not one of those in"):
        answers(third, **settings)


def test_a_renewed_certificate_of_the_pinned_key_stays_accepted(authority: Authority) -> None:
    key = new_key()
    pins = (authority.issue(key=key).pin,)
    assert answers(authority.issue(key=key), ca=authority.file, pins=pins)


def test_a_pinned_key_needs_no_name(authority: Authority) -> None:
    elsewhere = authority.issue(["archive.example"])
    assert answers(elsewhere, ca=authority.file, pins=(elsewhere.pin,))


def test_a_self_signed_certificate_named_as_authority_is_accepted(authority: Authority) -> None:
    lone = authority.issue(alone=True)
    assert answers(lone, ca=lone.certificate)


def test_an_authority_below_another_is_enough_and_trusts_nobody_beside_it(authority: Authority) -> None:
    below = Authority(authority.file.parent, "Authority of the archive", above=authority)
    assert answers(below.issue(), ca=below.file)
    with pytest.raises(ArchiveNotTrusted, match="not from the authority"):
        answers(authority.issue(), ca=below.file)


def test_a_list_without_the_certificate_lets_it_pass(authority: Authority) -> None:
    assert answers(authority.issue(), ca=authority.file, crl=authority.revoke(authority.issue()))
