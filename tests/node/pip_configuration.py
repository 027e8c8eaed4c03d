"""How this machine's pip gets packages (a mirror, a certificate), for a pip in an image's build."""

from __future__ import annotations

import ast
import configparser
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.commands import run

_PIP = Path(__file__).resolve().parents[2] / ".tools" / "bin" / "python"  # `make setup` makes it
_NETWORK = {
    "cert",
    "client-cert",
    "extra-index-url",
    "find-links",
    "index-url",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
}


@contextmanager
def pip_configuration() -> Iterator[tuple[Path, list[Path]]]:
    """A pip.conf, and the files and folders that it names, which the build must see under the same paths."""
    said = network_options(run(_PIP, "-m", "pip", "config", "list"))
    named = [Path(word) for value in said.values() for word in value.split() if word.startswith("/")]
    missing = {str(path) for path in named if not path.exists()}
    parser = configparser.RawConfigParser()
    parser["global"] = {
        key: value
        for key, text in said.items()
        if (value := "\n".join(word for word in text.split() if word not in missing))
    }
    with tempfile.NamedTemporaryFile("w", prefix="pip-", suffix=".conf") as file:
        parser.write(file)
        file.flush()
        yield Path(file.name), [path for path in named if path.exists()]


def network_options(listed: str) -> dict[str, str]:
    """Of what `pip config list` writes, what says where packages come from; the environment wins, as in pip."""
    found = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2].removeprefix("default-")
        if key in _NETWORK and name.startswith(("global.", "install.", ":env:.")):
            found[key] = str(ast.literal_eval(value))
    return found
