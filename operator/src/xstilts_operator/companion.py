"""What the programs of the CPU Jobs share: a plan, a store, and the message that they end with.

They run in the operator's image with the core alone: nothing here knows a cluster.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from xstilts.errors import EXIT_FAILED, EXIT_INVALID, Problem, SpecError, UserError
from xstilts.stage import StageFailure
from xstilts.store import Store
from xstilts_operator.answers import failure
from xstilts_operator.plans import PlanDocument, PlanError, unpack

TERMINATION_LOG = "/dev/termination-log"


@dataclass(frozen=True)
class Task:
    """What a program is given: the plan and its ConfigMap's name, the store, and its own arguments."""

    plan: str
    document: PlanDocument
    store: Store
    arguments: Sequence[str]
    environment: Mapping[str, str]

    def number(self, name: str) -> int:
        """A variable that holds a whole number.

        Raises:
            SpecError: it does not.
        """
        text = self.environment.get(name, "")
        if not text.isascii() or not text.isdecimal():
            raise SpecError(Problem(name, f"must be a whole number, was {text!r}"))
        return int(text)


def run(
    work: Callable[[Task], bytes],
    failed: Callable[[str, StageFailure], bytes],
    arguments: Sequence[str],
    environment: Mapping[str, str] = os.environ,
) -> int:
    """Do the work and write its message; returns the exit code. SIGTERM ends the process, without a message.

    Args:
        work: from the task to the message.
        failed: from the plan's name and a failure to the message.
        arguments: the plan's file, and what else the program needs.
        environment: XSTILTS_PLAN (the name of the plan's ConfigMap), XSTILTS_STORE and XSTILTS_NAMESPACE; XSTILTS_RESULT
            (default /dev/termination-log) is the file that the message is written to.
    """
    signal.signal(signal.SIGTERM, _end)  # the first process of a pod has no default action: it would go on
    code = 0
    name = environment.get("XSTILTS_PLAN", "")
    try:
        message = work(_task(name, arguments, environment))
    except UserError as error:
        first = error.problems[0]
        message, code = failed(name, failure(first.field, first.message)), error.exit_code
    except PlanError as error:
        message, code = failed(name, failure("plan", str(error))), EXIT_INVALID
    except Exception as error:  # noqa: BLE001 - the process ends here: whatever it was, it must be told
        traceback.print_exc()
        message, code = failed(name, failure("", f"{type(error).__name__}: {error}")), EXIT_FAILED
    Path(environment.get("XSTILTS_RESULT", TERMINATION_LOG)).write_bytes(message)
    return code


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _task(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Task:
    root = environment.get("XSTILTS_STORE")
    if not arguments or not name or not root:
        raise SpecError("must be given the plan's file, XSTILTS_PLAN and XSTILTS_STORE")
    document = unpack(Path(arguments[0]).read_bytes())
    store = Store.open(root, environment.get("XSTILTS_NAMESPACE", document.namespace))
    return Task(name, document, store, arguments[1:], environment)
