"""`priorline render`: one image through the viewer's own pixel path into a PNG file, without a window."""

from pathlib import Path

from priorline.cli.output import OK, say
from priorline.config import Settings
from priorline.errors import CacheError, NotDicom, UsageError
from priorline.imaging.instance import Window
from priorline.imaging.render import render_png
from priorline.work.one_frame import decode_apart
from priorline.work.session import open_store


def read_bytes(path: Path) -> bytes:
    """A file to be shown; raises NotDicom where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise NotDicom(f"{path} cannot be read: {problem.strerror}.") from problem


def read_cached(settings: Settings, sop_uid: str) -> bytes:
    """An instance of the cache by its SOP Instance UID; raises CacheError where it is not there."""
    with open_store(settings, settings.cache_directory, settings.state_directory) as store:
        for study in store.studies():
            for instance in store.instances(study.study_uid):
                if instance.sop_uid == sop_uid:
                    return store.read(instance)
    raise CacheError("The cache does not have this instance; fetch its study first.")


def parse_size(text: str) -> tuple[int, int] | None:
    """Width and height of "800x600"; raises UsageError."""
    if not text:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and 0 < int(width) <= 20000 and 0 < int(height) <= 20000):
        raise UsageError("--size is WIDTHxHEIGHT in pixels, for example 800x600.")
    return int(width), int(height)


def run_render(
    data: bytes,
    out: Path,
    frame: int,
    window: tuple[float, float] | None,
    preset: str,
    voi: int | None,
    invert: bool,
    size: str,
) -> int:
    """Decode one frame (from 1) in a process of its own, and write it."""
    wanted = parse_size(size)
    if frame < 1:
        raise UsageError("--frame counts from 1.")
    decoded = decode_apart(data, frame - 1)
    chosen = Window(*window) if window else None
    render_png(decoded, out, window=chosen, preset=preset, voi=voi, invert=invert, size=wanted)
    say(f"{out} written.")
    return OK
