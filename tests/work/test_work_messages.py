"""Messages between window and helpers: typed, and nothing else gets through."""

from datetime import UTC, date, datetime, time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priorline.config import HospitalSettings, Settings
from priorline.domain.links import link_of
from priorline.domain.patient import Identifier, Patient
from priorline.domain.study import FetchReport, FetchState, HospitalReport, HospitalState, StudyAnswer
from priorline.imaging.frame import LookupTable, ValueMapping
from priorline.imaging.instance import InstanceHeader, Window
from priorline.work import decoder_messages as d
from priorline.work import messages as m

SOMEONE = Patient(Identifier("123", "A"), "DOE^J", date(1970, 3, 14), "M")
STUDY = StudyAnswer("Here", "1.2.3", SOMEONE, date(2019, 3, 2), time(10, 21, 5), ("DX",), "X-thorax", images=1)
HEADER = InstanceHeader(
    "1.2.3.4",
    "1.2",
    "1.2.840.10008.1.2.1",
    "1.2.3",
    "1.2.3.1",
    SOMEONE,
    position=(0.0, 0.5, -1.25),
    spacing=(0.7, 0.7),
)
TICKET = m.Ticket("/somewhere", "00ff", bytes(range(32)))
INSTANCE = m.CachedInstance(HEADER, TICKET)
SETTINGS = Settings(hospital=(HospitalSettings(name="Here", ae_title="HERE", host="127.0.0.1", port=104),))
MAPPING = ValueMapping(
    bits=16,
    slope=0.5,
    modality_lut=LookupTable(-1.0, b"\0\1", 8),
    padding=(0, 1),
    windows=(Window(40, 400, explanation="soft"),),
)

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
LINK = link_of(SOMEONE, "Here", SOMEONE, "1.2.3", reason="maiden name", user="a.smit", at=AT)

REQUESTS: list[m.CourierRequest] = [
    m.Configure(0, SETTINGS, "/cache", "/state"),
    m.Search(1, SOMEONE, "1.2.3", ("Here",), "trauma"),
    m.Search(1, None, "1.2.3"),
    m.ReadFolder(2, "/folder"),
    m.Fetch(3, STUDY, "1.2.3.1"),
    m.Fetch(3, STUDY, reason="prefetch", prefetch=True),
    m.Prefer(3, "1.2.3", "1.2.3.1", "1.2.3.4"),
    m.OpenStudy(4, "1.2.3"),
    m.CloseStudy(4, "1.2.3"),
    m.AskPresence(5, ("1.2.3", "4.5")),
    m.AskCache(6, clean=True),
    m.Discard(6, "1.2.3", ("ab" * 16,)),
    m.LookAtPerson(6, Identifier("9", "B"), "1.2.3", ("Here", "There"), "maiden name"),
    m.Confirm(7, (LINK,), ("1.2.3",)),
    m.Revoke(8, (LINK,), ("1.2.3", "4.5"), "another man"),
    m.Cancel(9),
]
EVENTS: list[m.CourierEvent] = [
    m.PatientKnown(1, SOMEONE, {"Here": Identifier("9", "B")}, STUDY, (LINK,)),
    m.OnRecord(7),
    m.CacheTold(8, 1, 2, 3, 4, "file", (m.HospitalShare("A", 1, 2),), (m.Leaving("A", 1, 2, AT, "old"),), 5, 6),
    m.StudiesFound(1, (STUDY, STUDY)),
    m.HospitalEnded(1, HospitalReport("Here", HospitalState.TIMED_OUT, seconds=10.0, message="Too late.")),
    m.SearchEnded(1),
    m.FetchPlace(3, 2),
    m.InstanceArrived(3, "1.2.3", INSTANCE, 1, 2, 512),
    m.FetchEnded(3, FetchReport("1.2.3", "Here", FetchState.PARTIAL, reasons=("cut",))),
    m.StudyContents(4, "1.2.3", (INSTANCE,), 2, complete=False),
    m.PresenceKnown(5, {"1.2.3": m.PresenceItem(1, complete=False, hospital="Here")}),
    m.Notice(0, "Something is behind."),
    m.RequestFailed(6, "No."),
    m.Ready(0),
]
DECODER_EVENTS: list[d.DecoderEvent] = [
    d.FrameDecoded(7, (512, 512), 16, MAPPING, HEADER),
    d.SlotTooSmall(7, 5_000_000),
    d.ObjectDamaged(7, "Damaged."),
    m.RequestFailed(7, "No."),
    m.Ready(0),
]
FRAME_REQUEST = d.FrameRequest(7, TICKET, 3, "psm_1", 4096)


@pytest.mark.parametrize("request_", REQUESTS)
def test_requests_arrive_as_they_were_sent(request_: m.CourierRequest) -> None:
    assert m.decode_courier_request(m.encode(request_)) == request_


@pytest.mark.parametrize("event", EVENTS)
def test_events_arrive_as_they_were_sent(event: m.CourierEvent) -> None:
    assert m.decode_courier_event(m.encode(event)) == event


@pytest.mark.parametrize("event", DECODER_EVENTS)
def test_decoder_events_arrive_as_they_were_sent(event: d.DecoderEvent) -> None:
    assert d.decode_decoder_event(m.encode(event)) == event


def test_frame_requests_arrive_as_they_were_sent() -> None:
    assert d.decode_frame_request(m.encode(FRAME_REQUEST)) == FRAME_REQUEST


def test_every_kind_of_message_is_sent_here() -> None:
    """A new kind comes with a test of its way."""
    sent = {type(one) for one in (*REQUESTS, *EVENTS, *DECODER_EVENTS, FRAME_REQUEST)}
    kinds = {
        one
        for one in (*vars(m).values(), *vars(d).values())
        if isinstance(one, type) and issubclass(one, m.Message) and one not in (m.Message, m.Request, m.Event)
    }
    assert sent == kinds


def test_the_kinds_that_end_a_request_are_those_that_come_last() -> None:
    ends = {type(event) for event in (*EVENTS, *DECODER_EVENTS) if event.ends}
    assert ends == {
        m.SearchEnded, m.FetchEnded, m.StudyContents, m.PresenceKnown, m.OnRecord, m.CacheTold, m.RequestFailed,
        d.FrameDecoded, d.SlotTooSmall, d.ObjectDamaged,
    }  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "RequestFailed", "number": "1", "message": "x"},
        {"kind": "RequestFailed", "number": 1},
        {"kind": "Configure", "number": 1},
        {"kind": "os.system", "number": 1},
        {"number": 1, "message": "x"},
        {"kind": "StudiesFound", "number": 1, "answers": [{"hospital": "Here"}]},
        {"kind": "HospitalEnded", "number": 1, "report": {"hospital": "Here", "state": "fine"}},
        [1, 2],
    ],
)
def test_what_is_no_event_is_refused(told: object) -> None:
    with pytest.raises(msgspec.DecodeError):
        m.decode_courier_event(msgspec.msgpack.encode(told))


NO_FIELDS = b"\x83\xa4kind\xadRequestFailed\xa6number\x01"


@pytest.mark.parametrize(
    "data",
    [
        NO_FIELDS + b"\xa7message\xa1\xff",
        NO_FIELDS + b"\xa5other" + b"\x91" * 200_000 + b"\x90",
        b"\x83\xa4kind\xacFrameDecoded\xa6number\x01\xa5shape\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
    ],
    ids=["not UTF-8", "nested without end", "a list of four thousand million", "as large a map"],
)
def test_hostile_bytes_are_refused_with_the_one_error(data: bytes) -> None:
    for decode in (m.decode_courier_event, d.decode_decoder_event, m.decode_courier_request, d.decode_frame_request):
        with pytest.raises(msgspec.DecodeError):
            decode(data)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_changed_byte_is_another_message_or_refused(place: int, value: int) -> None:
    data = bytearray(m.encode(EVENTS[4]))
    data[place % len(data)] = value
    try:
        m.decode_courier_event(bytes(data))
    except msgspec.DecodeError:
        return
