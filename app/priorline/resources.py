"""Where the files are that the program ships beside its code: fonts, icons, themes, translations."""

from pathlib import Path

# Installed from a wheel they lie inside the package; in a source checkout, beside `app`.
_HERE = Path(__file__).resolve()
_PLACES = (_HERE.parent / "resources", _HERE.parents[2] / "resources")


def resource(name: str) -> Path:
    """The absolute path of a shipped file or folder, named with slashes: `icons/fit.svg`, `fonts`.

    Raises FileNotFoundError when the installation lacks it: that is a fault of the installation, not of the user.
    """
    for place in _PLACES:
        path = place / name
        if path.exists():
            return path
    raise FileNotFoundError(f"the installation lacks {name}; install Priorline anew")
