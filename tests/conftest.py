"""What every test may need: the repository's root, a real encoder, and the real slices, where they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from controlplane.build import TOOLS, build

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

REPOSITORY = Path(__file__).resolve().parents[1]
NO_SLICES = "real data slices are not here"
NO_GPU = "needs a GPU"

if "PYTEST_XDIST_WORKER" in os.environ:  # one core each: threads of several would wait for each other's cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test is timed: an example's first call may load a library, and other work may run beside.
settings.register_profile("untimed", settings.default, deadline=None)
settings.load_profile("untimed")

os.environ.pop("XSTILTS_STORE", None)  # a test has a store of its own, not that of who runs the tests

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped for another reason than that the slices or a GPU are absent."""
    absent = any(reason in str(report.longrepr) for reason in (NO_SLICES, NO_GPU))
    if report.skipped and not hasattr(report, "wasxfail") and not absent:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In the continuous check (CI is set) a skip that the machine could have run is a failure."""
    if os.environ.get("CI") and _skipped and session.exitstatus == pytest.ExitCode.OK:
        print(f"\nskipped, where nothing may be: {', '.join(_skipped)}")  # noqa: T201 - beside pytest's summary
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, whose time limit is no measure for a compiler."""
    wanted = any("promtool" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        _promtool(lambda line: print(line, flush=True))  # noqa: T201 - pytest shows it


def _promtool(say: Callable[[str], None] = lambda _line: None) -> Path:
    found = shutil.which("promtool")
    return Path(found) if found else build(TOOLS["promtool"], say=say) / "bin" / "promtool"


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus' own check of metrics and rules: the machine's, else built."""
    return _promtool()


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def assert_as_made() -> Callable[[str], None]:
    """Asserts that the files which a script of scripts/ makes are as it makes them now."""

    def check(script: str) -> None:
        done = subprocess.run(
            [sys.executable, REPOSITORY / "scripts" / script, "--check"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return check


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data slices (XSTILTS_DATA, else ../shared/data beside the checkout)."""
    folder = Path(os.environ.get("XSTILTS_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"{NO_SLICES}: {folder} (set XSTILTS_DATA)")
    return folder.resolve()


@pytest.fixture(scope="session")
def encoder_dir() -> Path:
    """A real multilingual encoder: multilingual-e5-small cut to two layers, with its tokenizer. Read only.

    Taken from the cache of scripts/encoder.py, which makes it from hashed packages where it is absent.
    """
    script = REPOSITORY / "scripts" / "encoder.py"
    made = subprocess.run(
        [sys.executable, script, "e5-small", "--layers", "2"], check=True, stdout=subprocess.PIPE, text=True
    )
    return Path(made.stdout.strip())


@pytest.fixture(scope="session")
def tokenizer_dir(encoder_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tokenizer of `encoder_dir` alone (XLM-R's, 250,002 pieces): tokenizer.json and tokenizer_config.json."""
    folder = tmp_path_factory.mktemp("tokenizer")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(encoder_dir / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def mt5_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer as mT5's: sentencepiece, `A </s>`, sentinels that are pieces of their own, the last one first."""
    from transformers import T5Tokenizer

    words = [f"▁w{number}" for number in range(60)]
    known = [
        "▁red",
        "▁green",
        "▁blue",
        "▁rot",
        "▁grün",
        "▁blau",
        "▁O",
        "▁choice",
        "▁B",
        "▁I",
        "-COL",
        "▁0",
        "▁1",
        "▁2",
        "▁$$",
    ]
    letters = [*"▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789?.:-_/\\()$"]
    pieces = [*known, *words, *letters]
    sentinels = [f"▁<extra_id_{number}>" for number in reversed(range(24))]
    special = [(name, 0.0) for name in ("<pad>", "</s>", "<unk>")]
    scored = [(piece, -1.0 if len(piece) > 1 else -5.0) for piece in pieces]
    return T5Tokenizer(vocab=[*special, *scored, *((name, 0.0) for name in sentinels)], extra_ids=0)
