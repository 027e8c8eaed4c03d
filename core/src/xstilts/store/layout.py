"""Where things lie under `<root>/<namespace>/`, and which names may be part of a path.

    <key>/…files…, manifest.json                    an artifact, the output of a stage
    <key>/dropped.json                              which files of it have been dropped since, where any have
    inputs/<NAME>/<DIGEST>/…files…, manifest.json   a folder that `xstilts put` has put there
    inputs/<NAME>/latest                            the digest that was put last
    inputs/<NAME>/pins/<mark's SHA-256>             the digest that an experiment reads which names none
    reports/<experiment>/…files…                    an experiment's page and tables, as the operator wrote them last
    uses/<experiment>/use.json                      which stages an experiment has that was run here, and what it keeps
    set-aside/<key or NAME>.<time>.<token>/…        what was found damaged, and set-aside.json saying why
    drafts/…, checkpoints/<key>/…, locks/…          work under way

Every name is checked before it becomes part of a path, so that nothing outside the namespace can be reached.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final

from xstilts.errors import Problem, StoreError

MANIFEST: Final = "manifest.json"
DROPPED: Final = "dropped.json"
REASON: Final = "set-aside.json"
INPUTS: Final = "inputs"
LATEST: Final = "latest"
PINS: Final = "pins"
REPORTS: Final = "reports"
USES: Final = "uses"
USE: Final = "use.json"
SET_ASIDE: Final = "set-aside"
DRAFTS: Final = "drafts"
CHECKPOINTS: Final = "checkpoints"
LOCKS: Final = "locks"

NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
INPUT_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_MOMENT = "%Y%m%dT%H%M%SZ"
_LONGEST_PATH = 512  # bytes; an object's whole name may have 1,024


def is_key(name: str) -> bool:
    """Whether a name can be a stage's key: 64 hexadecimal digits."""
    return DIGEST.fullmatch(name) is not None


def artifact(key: str) -> str:
    """The folder of a stage's artifact.

    Raises:
        StoreError: the key is not 64 hexadecimal digits.
    """
    if not is_key(key):
        raise StoreError(Problem("key", f"must be 64 hexadecimal digits (0-9, a-f), was {key!r}"))
    return key


def input_folder(name: str, digest: str) -> str:
    """The folder of an input.

    Raises:
        StoreError: the name or the digest has another form.
    """
    return f"{INPUTS}/{input_name(name)}/{input_digest(digest)}"


def input_name(name: str) -> str:
    """The name itself, when it is one that an input may have.

    Raises:
        StoreError: it is not.
    """
    if INPUT_NAME.fullmatch(name) is None:
        raise StoreError(
            Problem(
                "name",
                "must be 1 to 128 letters (a-z, A-Z), digits, '.', '_' or '-', with a letter or digit "
                f"at both ends, was {name!r}",
            )
        )
    return name


def input_digest(digest: str) -> str:
    """The digest itself, when it is one.

    Raises:
        StoreError: it is not.
    """
    if DIGEST.fullmatch(digest) is None:
        raise StoreError(Problem("digest", f"must be 64 hexadecimal digits (0-9, a-f), was {digest!r}"))
    return digest


def namespace(name: str) -> str:
    """The namespace itself, when it has the form of a Kubernetes namespace.

    Raises:
        StoreError: it has not.
    """
    if NAMESPACE.fullmatch(name) is None:
        raise StoreError(
            Problem(
                "namespace",
                f"must be 1 to 63 lower-case letters, digits or '-', with no '-' at an end, was {name!r}",
            )
        )
    return name


def report_folder(experiment: str) -> str:
    """The folder of an experiment's report.

    Raises:
        StoreError: the experiment's name cannot be part of a path.
    """
    return f"{REPORTS}/{_experiment(experiment)}"


def report_file(experiment: str, file: str) -> str:
    """A file of an experiment's report.

    Raises:
        StoreError: the experiment's or the file's name cannot be part of a path.
    """
    if INPUT_NAME.fullmatch(file) is None:
        raise StoreError(Problem("file", f"must be a file's name, was {file!r}"))
    return f"{report_folder(experiment)}/{file}"


def use_file(experiment: str) -> str:
    """Where it stands which stages an experiment has.

    Raises:
        StoreError: the experiment's name cannot be part of a path.
    """
    return f"{USES}/{_experiment(experiment)}/{USE}"


def _experiment(name: str) -> str:
    if NAMESPACE.fullmatch(name) is None:  # experiments are named as namespaces are
        raise StoreError(Problem("name", f"must be an experiment's name, was {name!r}"))
    return name


def set_aside_folder(folder: str, moment: datetime, token: str) -> str:
    """Where a folder is moved to that is set aside now."""
    return f"{SET_ASIDE}/{folder.replace('/', '.')}.{moment.strftime(_MOMENT)}.{token}"


def set_aside_moment(name: str) -> datetime | None:
    """When a folder in `set-aside/` was moved there; None where the name is none of the store's."""
    try:
        return datetime.strptime(name.split(".")[-2], _MOMENT).replace(tzinfo=UTC)
    except (IndexError, ValueError):
        return None


def path_problem(path: str) -> str | None:
    """What forbids a relative path as the name of a stored file, or None where nothing does.

    Spaces, letters of any script and the characters `*?[]#%&` are names like others. Forbidden are what leads out of
    the folder, what not every store can hold, and the store's own names.
    """
    rules = (
        (any(part in {"", ".", ".."} for part in path.split("/")), "must have no empty, '.' or '..' part"),
        (
            path in {MANIFEST, DROPPED, REASON},
            "must have another name: the store writes its own file of this one",
        ),
        ("?versionId=" in path, "must not hold '?versionId=', which s3fs takes for a part of the address"),
        (
            "\\" in path or any(unicodedata.category(c) == "Cc" for c in path),
            "must hold no control character or \\",
        ),
        (any(unicodedata.category(c) == "Cs" for c in path), "must be UTF-8"),
        (
            len(path.encode(errors="surrogatepass")) > _LONGEST_PATH,
            f"must be at most {_LONGEST_PATH} bytes long",
        ),
    )
    return next((message for broken, message in rules if broken), None)


def is_hidden(path: str) -> bool:
    """Whether a file is none of a folder's content: desktops, editors and version control leave such files anywhere."""
    parts = PurePosixPath(path).parts
    return any(part.startswith(".") for part in parts) or parts[-1] in {"Thumbs.db", "desktop.ini"}
