"""The demo hospitals as a process of their own: `python -m priorline.work.demo`.

It prints one line of JSON that says where they listen, and ends when its standard input closes. Only here do the
hospitals and the computed pictures meet.
"""

import json
import signal
import sys
from dataclasses import replace
from datetime import date
from typing import TextIO

import numpy as np
import numpy.typing as npt

from priorline.archives.demo.hospitals import DemoHospitals
from priorline.archives.demo.story import PATIENT, ImageSpec, Picture, current_study, hospitals
from priorline.imaging import phantom, phantom_parts
from priorline.work.demo_hospitals import AT_ONCE

_FILMS = {
    Picture.CHEST_NORMAL: phantom.FILM_NORMAL,
    Picture.CHEST_NAMESAKE: phantom.FILM_NORMAL,
    Picture.CHEST_HERNIA: phantom.FILM_HERNIA,
    Picture.CHEST_BED: phantom.FILM_BED,
}
_SLICES = {Picture.TRAUMA_CT: phantom.TRAUMA_CT, Picture.ABDOMEN_CT: phantom.NORMAL_CT}
_PARTS = {Picture.HEAD_CT: phantom_parts.head_ct, Picture.SPINE_MR: phantom_parts.spine_mr,
          Picture.KNEE_MR: phantom_parts.knee_mr}  # fmt: skip


def compute(spec: ImageSpec) -> npt.NDArray[np.generic]:
    """The pixels of one demo image, (rows, columns) as `spec` says, in the type of its modality."""
    if spec.picture in _SLICES:
        return phantom.slice_hu(spec.height_mm, spec.rows, spec.pixel_mm, _SLICES[spec.picture])
    if spec.picture in _FILMS:
        return phantom.film(_FILMS[spec.picture], spec.rows, spec.columns, spec.pixel_mm)
    if spec.picture in _PARTS:
        return _PARTS[spec.picture](spec.height_mm, spec.rows, spec.pixel_mm)
    if spec.picture is Picture.ABDOMEN_US:
        return phantom_parts.abdomen_us(spec.number, spec.rows, spec.columns, spec.pixel_mm)
    draw = phantom_parts.knee_film if spec.picture is Picture.KNEE_FILM else phantom_parts.hand_film
    return draw(spec.rows, spec.columns, spec.pixel_mm)


def announcement(demo: DemoHospitals, current_uid: str) -> str:
    """One line of JSON: the hospitals, the patient of the story and the current study."""
    return json.dumps(
        {
            "hospitals": [
                {
                    "name": hospital.name,
                    "ae_title": hospital.ae_title,
                    "host": hospital.host,
                    "port": hospital.port,
                    "patient_id_issuer": hospital.issuer,
                }
                for hospital in demo.running
            ],
            "patient": {
                "id": PATIENT.number,
                "issuer": PATIENT.issuer,
                "name": PATIENT.name,
                "birth_date": PATIENT.birth_date,
                "sex": PATIENT.sex,
            },
            "current_study": current_uid,
        }
    )


def serve(told: TextIO, until_closed: TextIO, *, at_once: bool = False) -> None:
    """Run the hospitals, say where on `told`, and end when `until_closed` has no more to read."""
    # The day where the workstation stands, read once, so that midnight cannot come between.
    today = date.today()  # noqa: DTZ011
    stories = hospitals(today)
    if at_once:
        stories = tuple(replace(story, find_delay=0.0) for story in stories)
    with DemoHospitals(compute, stories) as demo:
        told.write(announcement(demo, current_study(today).study_uid) + "\n")
        told.flush()
        while until_closed.read(4096):
            pass


if __name__ == "__main__":
    # Ctrl+C reaches the whole process group; whoever started the hospitals ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdout, sys.stdin, at_once=AT_ONCE in sys.argv)
