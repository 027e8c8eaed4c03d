"""Which candidates may be among a query's k nearest, told from scores that are a little wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from xstilts_trainer.retrieval.exact import Neighbours, nearest_in_float64, products, together

GROUP = 32  # scores at most whose maximum stands for them
GROUPS_A_NEIGHBOUR = 8  # groups of a line at least, for each of the k: two of the largest seldom share one
CROWD = 32  # candidates beyond k from which a query is crowded
PENDING = 1 << 20  # pairs that wait to be looked through again: 12 MiB
RESOLVED = 2048  # queries at a time

Pairs = tuple[Tensor, Tensor, Tensor]  # query, candidate (int32) and score (float32), each [P]


class Shortlist:
    """The pairs of Q queries and C candidates that may be among a query's k nearest; scores come block by block.

    A score may be off by `error`, and products tie that are `tie` apart at most. The k largest maxima of groups of
    scores are kept for each query: k candidates reach the least of them, so that one whose score is lower by more
    than `slack` = 2 `error` + `tie` is neither among the k nearest nor ties with the last. The others are few, k a query
    and those too close to call. A query with more than k + 32 of them is crowded (copies of one vector, or vectors
    that are all alike): its pairs are dropped, and it is looked up in float64 at the end.
    """

    def __init__(self, queries: int, candidates: int, k: int, slack: float, device: torch.device) -> None:
        self._k = min(k, candidates)
        self._slack = slack
        self._largest = torch.full((queries, self._k), -torch.inf, device=device)
        self._bar = torch.full((queries,), -torch.inf, device=device)  # infinity where crowded
        none = torch.empty(0, dtype=torch.int32, device=device)
        self._kept: Pairs = (none, none, none.float())
        self._new: list[Pairs] = []

    def offer(self, scores: Tensor, query: int, candidate: int) -> None:
        """Take note of a block of scores [q, c], the first of them of `query` and `candidate`.

        Blocks of the same queries come in the order of their candidates.
        """
        group = _group(scores.shape[1], self._k)
        whole = scores.shape[1] // group * group
        self._offer(scores[:, :whole], query, candidate, group)
        if whole < scores.shape[1]:
            self._offer(scores[:, whole:], query, candidate + whole, 1)
        if sum(len(pairs[0]) for pairs in self._new) > max(PENDING, len(self._kept[0])):
            self._sift()

    def resolve(self, queries: Tensor, candidates: Tensor) -> Neighbours:
        """The k nearest of each query, in float64."""
        self._sift()
        order = self._kept[0].argsort(stable=True)  # the candidates of each query stay in their order
        rows, columns, scores = (part[order] for part in self._kept)
        held = torch.split(torch.bincount(rows, minlength=len(queries)), RESOLVED)
        sizes = [int(counts.sum()) for counts in held]
        blocks = zip(
            torch.split(queries, RESOLVED),
            held,
            torch.split(columns, sizes),
            torch.split(scores, sizes),
            strict=True,
        )
        return together([self._resolve(candidates, *block) for block in blocks])

    def _offer(self, scores: Tensor, query: int, candidate: int, group: int) -> None:
        queries = slice(query, query + len(scores))
        maxima = _maxima(scores, group)
        self._raise(query, maxima)
        bar = self._bar[queries]
        row, place = (maxima >= bar.unsqueeze(1)).nonzero(as_tuple=True)
        members = scores.view(len(scores), -1, group)[row, place]
        hit, member = (members >= bar[row].unsqueeze(1)).nonzero(as_tuple=True)
        column = place[hit] * group + member
        self._new.append(
            ((row[hit] + query).int(), (column + candidate).int(), members[hit, member]),
        )

    def _raise(self, query: int, maxima: Tensor) -> None:
        """Put each bar as high as these maxima of its query let it stand."""
        queries = slice(query, query + len(maxima))
        better = (maxima.amax(dim=1) > self._largest[queries, -1]).nonzero().squeeze(1)
        rows = better + query
        largest = torch.cat([self._largest[rows], maxima[better]], dim=1).topk(self._k).values
        self._largest[rows] = largest
        self._bar[rows] = torch.maximum(self._bar[rows], largest[:, -1] - self._slack)

    def _sift(self) -> None:
        """Drop the pairs that are below their query's bar by now, and those of crowded queries."""
        rows, columns, scores = map(torch.cat, zip(self._kept, *self._new, strict=True))
        self._kept, self._new = _where(scores >= self._bar[rows], (rows, columns, scores)), []
        crowded = torch.bincount(self._kept[0], minlength=len(self._bar)) > self._k + CROWD
        self._bar[crowded] = torch.inf
        self._kept = _where(~crowded[self._kept[0]], self._kept)

    def _resolve(
        self, candidates: Tensor, queries: Tensor, held: Tensor, columns: Tensor, scores: Tensor
    ) -> Neighbours:
        """The k nearest of some queries, which hold so many pairs each, of these columns [P] and scores [P]."""
        rows = torch.arange(len(held), device=held.device).repeat_interleave(held)
        places = torch.arange(len(rows), device=held.device) - (held.cumsum(0) - held)[rows]
        shape = (len(held), max(self._k, int(held.max())))
        rough = scores.new_full(shape, -torch.inf)
        rough[rows, places] = scores
        bar = rough.topk(self._k).values[:, -1] - self._slack
        rows, places, columns = _where(scores >= bar[rows], (rows, places, columns.long()))
        exact = torch.full(shape, -torch.inf, dtype=torch.float64, device=held.device)
        exact[rows, places] = products(queries, candidates, rows, columns)
        named = torch.zeros(shape, dtype=torch.long, device=held.device)
        named[rows, places] = columns
        order = exact.argsort(dim=1, descending=True, stable=True)[:, : self._k]
        found = Neighbours(exact.gather(1, order), named.gather(1, order))
        crowded = (held == 0).nonzero().squeeze(1)  # any other query holds k pairs at least
        if len(crowded):
            looked_up = nearest_in_float64(queries[crowded], candidates, self._k)
            found.scores[crowded], found.indices[crowded] = looked_up.scores, looked_up.indices
        return found


def _where(chosen: Tensor, parts: Pairs) -> Pairs:
    first, second, third = parts
    return first[chosen], second[chosen], third[chosen]


def _group(length: int, k: int) -> int:
    """How many scores of a line of some length a maximum is taken of."""
    group = GROUP
    while group > 1 and length < group * GROUPS_A_NEIGHBOUR * k:
        group //= 2
    return group


def _maxima(scores: Tensor, group: int) -> Tensor:
    """The maxima [q, c / group] of each `group` scores of a line, of scores [q, c] in either order in memory."""
    if scores.stride(0) == 1:  # reduced as it lies, which is fifty times as fast
        return scores.T.view(-1, group, len(scores)).amax(dim=1).T.contiguous()
    return scores.view(len(scores), -1, group).amax(dim=2)
