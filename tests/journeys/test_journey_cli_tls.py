"""A hospital over TLS from the command line, beside two that are not asked rather than asked in clear."""

import socket
from pathlib import Path
from typing import Any

from journey_tools import CT, NAMED, hospital, relabelled, saved, write_config

import peers
import tls_peers
from certificates import Authority

SAFE, UNSET, FOREIGN = "Safe Hospital", "Unset Hospital", "Foreign Hospital"


def test_one_is_found_and_fetched_encrypted_and_the_others_are_told_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    theirs, ours = authority.issue(), authority.issue(["workstation"])
    tls = {"tls.ca": str(authority.file), "tls.certificate": str(ours.certificate), "tls.key": str(ours.key)}
    place = tmp_path / "orthanc"
    place.mkdir()
    files = saved(tmp_path, [relabelled("CT_small.dcm", CT, number, StudyDate="20240501") for number in (1, 2)])
    with tls_peers.orthanc(place, theirs, authority) as peer, socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        unset = hospital(UNSET, peers.peer(silent.getsockname()[1]), **{**tls, "tls.ca": str(tmp_path / "no.pem")})
        foreign = hospital(FOREIGN, peer, **{**tls, "tls.ca": str(Authority(tmp_path).file)})
        program = write_config(tmp_path / "priorline.toml", hospital(SAFE, peer, **tls), unset, foreign)
        tls_peers.store(peer, ours, authority, list(files[CT].values()))

        document = program("timeline", *NAMED, "--json").json
        reports: dict[str, dict[str, Any]] = {one["name"]: one for one in document["hospitals"]}
        assert {name: one["state"] for name, one in reports.items()} == {
            SAFE: "answered",
            UNSET: "not-asked",
            FOREIGN: "failed",
        }
        assert reports[UNSET]["message"].endswith("no.pem cannot be read: No such file or directory.")
        assert reports[FOREIGN]["message"].startswith(f"{FOREIGN} is not trusted: its certificate is not from")
        assert [study["study_uid"] for study in document["studies"]] == [CT]

        fetched = program("fetch", CT, "--from", SAFE, "--json")
        assert (fetched.code, fetched.json["studies"][0]["received"]) == (0, 2)

        checks = {one["name"]: one for one in program("hospitals", "check", "--json").json["hospitals"]}
        assert [(checks[name]["tls"], checks[name]["ok"]) for name in (SAFE, UNSET, FOREIGN)] == [
            (True, True),
            (True, False),
            (True, False),
        ]
        assert not accepted(silent)


def test_a_hospital_that_sends_by_tls_is_checked_and_fetched_from(tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), peers.free_port()
    theirs, ours = authority.issue(), authority.issue(["workstation"])
    tls = {"tls.ca": str(authority.file), "tls.certificate": str(ours.certificate), "tls.key": str(ours.key)}
    place = tmp_path / "orthanc"
    place.mkdir()
    files = saved(tmp_path, [relabelled("CT_small.dcm", CT, number, StudyDate="20240501") for number in (1, 2)])
    we = {"us": {"AET": peers.CALLING, "Host": "127.0.0.1", "Port": port, "UseDicomTls": True}}
    options = {"DicomModalities": we, "DicomTlsRemoteCertificateRequired": False}
    with tls_peers.orthanc(place, theirs, authority, **options) as peer:
        tls_peers.store(peer, ours, authority, list(files[CT].values()))
        program = write_config(
            tmp_path / "priorline.toml",
            hospital(SAFE, peer, retrieve="c-move", **tls),
            hospital(UNSET, peer, retrieve="c-move", **{"tls.ca": tls["tls.ca"]}),
            top=f"[workstation]\nport = {port}",
        )
        safe, unset = program("hospitals", "check", "--json").json["hospitals"]
        assert (safe["ok"], safe["findings"][0].endswith(f"port {port}, by TLS.")) == (True, True)
        assert (unset["ok"], unset["find"], unset["move"]) == (False, True, True)
        assert unset["findings"][-1].startswith("tls.certificate is empty: name the PEM file of our certificate")

        fetched = program("fetch", CT, "--from", UNSET, "--json")
        assert (fetched.code, fetched.json["studies"][0]["received"]) == (1, 0)
        assert "tls.certificate is empty" in fetched.json["studies"][0]["message"]
        fetched = program("fetch", CT, "--from", SAFE, "--json")
        assert (fetched.code, fetched.json["studies"][0]["received"]) == (0, 2)


def accepted(listener: socket.socket) -> bool:
    """Whether anybody has called."""
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return False
    connection.close()
    return True
