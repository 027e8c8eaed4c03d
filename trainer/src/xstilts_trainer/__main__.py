"""`python -m xstilts_trainer STAGE.json`: run one stage, locally and in a pod alike.

Environment: XSTILTS_STORE (the store's root), XSTILTS_NAMESPACE, XSTILTS_RESULT (default /dev/termination-log),
XSTILTS_PROGRESS (a file, optional), OMP_NUM_THREADS; XSTILTS_NODES, XSTILTS_NODE_RANK, XSTILTS_RANKS_PER_NODE and
XSTILTS_MASTER where several processes train together (see `xstilts_trainer.ranks`). Exit codes: 0 done; 42 interrupted, saved, resume me; 64 the spec
or the data is wrong, do not retry; 1 anything else.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from xstilts.errors import EXIT_INTERRUPTED


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    # The first process of a container has no default action: without a handler SIGTERM would be lost while the rest,
    # which takes seconds, is imported. There is nothing to save yet.
    signal.signal(signal.SIGTERM, _end)
    from xstilts_trainer.entry import main

    sys.exit(main(sys.argv[1:], os.environ))
