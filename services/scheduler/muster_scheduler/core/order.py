"""Who is next: the tree of queues, each with its groups, served so that the least satisfied queue goes first.

A queue's rank depends on what it holds and on the group that is next in it, so it is worked out again whenever a queue
comes to the front; what it was when it was filed is only a first guess.
"""

import heapq
from collections.abc import Iterable, Iterator

from muster_scheduler.core.accounts import Account, rank
from muster_scheduler.core.draft import Draft, Item

_Filed = tuple[tuple[int, ...], str, "_Branch"]
"""What a branch is filed under: its rank when it was filed, its key, itself."""


class _Branch:
    """An account with its own items, or with branches below it."""

    def __init__(self, account: Account | None) -> None:
        self.account = account
        self.items: list[tuple[object, Item]] = []
        self.below: list[_Filed] = []

    def head(self) -> Item:
        """Return the item that would be served next from here."""
        return self.items[0][1] if self.items else self.below[0][2].head()

    @property
    def empty(self) -> bool:
        """Whether nothing is left here."""
        return not self.items and not self.below


class QueueOrder:
    """Items of one pool, handed out one by one."""

    def __init__(self, draft: Draft, pool: str, items: Iterable[Item]) -> None:
        self._draft, self._pool = draft, pool
        self._root = _Branch(None)
        self._branches: dict[Account, _Branch] = {}
        for item in items:
            branch = self._branch(draft.account(item.view, pool))
            branch.items.append((item.rank, item))
        for branch in self._branches.values():
            heapq.heapify(branch.items)
        self._file_all()

    def __iter__(self) -> Iterator[Item]:
        """Hand out every item; what is added on the way takes its turn."""
        while not self._root.empty:
            yield self._pop(self._root)

    def add(self, item: Item) -> None:
        """Add an item of a group whose queue was just served."""
        account = self._draft.account(item.view, self._pool)
        branch = self._branches[account]
        was_empty = branch.empty
        heapq.heappush(branch.items, (item.rank, item))
        if was_empty:
            self._file(account)

    def _branch(self, account: Account) -> _Branch:
        if account not in self._branches:
            self._branches[account] = _Branch(account)
            if account.parent is not None:
                self._branch(account.parent)
        return self._branches[account]

    def _file_all(self) -> None:
        for account in sorted(self._branches, key=_depth, reverse=True):  # children before parents
            self._file_one(account)

    def _file(self, account: Account) -> None:
        """File a branch that got its first item, and those above it that were empty without it."""
        for above in account.chain():
            parent = self._branches[above.parent] if above.parent else self._root
            was_empty = parent.empty
            self._file_one(above)
            if not was_empty:
                return

    def _file_one(self, account: Account) -> None:
        branch = self._branches[account]
        if not branch.empty:
            parent = self._branches[account.parent] if account.parent else self._root
            heapq.heappush(parent.below, self._filed(branch))

    def _filed(self, branch: _Branch) -> _Filed:
        account, head = branch.account, branch.head()
        assert account is not None
        return rank(account, self._draft.amounts(head), account.allocated), account.queue.key, branch

    def _pop(self, branch: _Branch) -> Item:
        if branch.items:
            return heapq.heappop(branch.items)[1]
        below = self._front(branch)
        item = self._pop(below)
        if below.empty:
            heapq.heappop(branch.below)
        return item

    def _front(self, branch: _Branch) -> _Branch:
        """Bring the branch to the front whose rank is the least now."""
        while len(branch.below) > 1:
            filed = branch.below[0]
            fresh = self._filed(filed[2])
            if fresh[0] <= filed[0]:
                break
            heapq.heapreplace(branch.below, fresh)
        return branch.below[0][2]


def _depth(account: Account) -> int:
    return sum(1 for _ in account.chain())
