"""What the courier does when a person decided whose study it is: kept in the file of links, and in the cache."""

import contextlib
from collections.abc import Callable
from functools import partial

from priorline.audit.trail import AuditEvent
from priorline.domain.links import PersonLink
from priorline.errors import PriorlineError
from priorline.work.messages import Confirm, Event, LookAtPerson, OnRecord, Revoke
from priorline.work.session import Session


class Decided:
    """Carries such decisions out and answers each with `OnRecord`; raises PriorlineError where one cannot be kept."""

    def __init__(self, session: Session, send: Callable[[Event], None]) -> None:
        self._session, self._send = session, send

    def look_at_person(self, request: LookAtPerson) -> None:
        """Put on record that somebody sees how hospitals describe a person who is perhaps the patient."""
        self._session.trail.record(
            AuditEvent.ACCESSED,
            reason=request.reason,
            action="compared",
            hospital=", ".join(request.hospitals),
            patient_id=request.patient.value,
            issuer=request.patient.issuer,
            study=request.study_uid,
        )
        self._send(OnRecord(request.number))

    def confirm(self, request: Confirm) -> None:
        """All of it or nothing: a link that is kept opens pictures wherever this patient is looked at."""
        kept: list[PersonLink] = []
        try:
            for link in request.links:
                self._session.links.add(link)
                kept.append(link)
        except PriorlineError:
            for link in kept:
                self._session.links.revoke(link, "another one of this decision could not be kept")
            raise
        for uid in request.study_uids:
            with contextlib.suppress(PriorlineError):  # the fetch that follows does it, too
                self._session.store.withhold(uid, on=False)
        self._send(OnRecord(request.number))

    def revoke(self, request: Revoke) -> None:
        """Every step is tried: what fails is told, and leaves as little open as can be."""
        withhold = [partial(self._session.store.withhold, uid) for uid in request.study_uids]
        revoke = [partial(self._session.links.revoke, link, request.reason) for link in request.links]
        problems: list[PriorlineError] = []
        for step in (*revoke, *withhold):
            try:
                step()
            except PriorlineError as problem:
                problems.append(problem)
        if problems:
            raise problems[0]
        self._send(OnRecord(request.number))
