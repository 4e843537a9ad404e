"""Whatever is done to a log, the walk finds it, names the entry, and does not fall over."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contact_log.chain import GENESIS, append, link
from orchestrator.contact_log.walk import KEPT, Faults, reach, walk
from orchestrator.decide.result import Entry
from orchestrator.stores.contract import LogRow

Rows = list[LogRow]
LENGTH = 6


def log(partitions: int = 2, length: int = LENGTH) -> Rows:
    """`length` entries in each of so many partitions."""
    rows: Rows = []
    for partition in range(partitions):
        entries = [Entry(kind="decision", intent_id=f"i{n}", verdict="send") for n in range(length)]
        rows.extend(append(partition, 0, GENESIS, 1, 1_772_625_600_000_000, "ab" * 16, "rev", entries)[0])
    return rows


def faults_of(rows: Rows, marks: Rows = ()) -> set[tuple[int, int, str]]:  # type: ignore[assignment]  # an empty default
    """(partition, n, what) of each fault; `marks` are entries that were signed."""
    faults = Faults()
    signed = {(row.partition, row.n): row.hash for row in marks}
    walked = walk(rows, faults, marks=signed)
    reach(signed, walked, faults)
    return {(fault.partition, fault.n, fault.what) for fault in faults.kept}


def rehashed(rows: Rows) -> Rows:
    """The rows numbered and chained anew, as somebody who can write to the store would do it."""
    ends: dict[int, tuple[int, bytes]] = {}
    made: Rows = []
    for row in rows:
        n, head = ends.get(row.partition, (0, GENESIS))
        new = row._replace(n=n + 1, prev_hash=head)
        new = new._replace(hash=link(new))
        ends[row.partition] = (new.n, new.hash)
        made.append(new)
    return made


places = st.integers(0, 2 * LENGTH - 1)


def test_an_untouched_log_has_no_faults() -> None:
    assert set() == faults_of(log())


def test_an_empty_log_has_no_faults() -> None:
    assert set() == faults_of([])


@given(at=places, data=st.data())
def test_any_changed_value_is_found_at_its_entry(at: int, data: st.DataObject) -> None:
    rows = log()
    name = data.draw(st.sampled_from([name for name in LogRow._fields if name not in ("partition", "n", "hash")]))
    former = getattr(rows[at], name)
    values = {int: st.integers(0, 2**60), str: st.text(max_size=5), bytes: st.binary(min_size=32, max_size=32)}
    value = data.draw(values[type(former)].filter(lambda value: value != former))
    place = (rows[at].partition, rows[at].n)
    rows[at] = rows[at]._replace(**{name: value})
    assert (*place, "altered") in faults_of(rows)


@given(at=places, bit=st.integers(0, 255))
def test_any_changed_bit_of_a_hash_is_found(at: int, bit: int) -> None:
    rows = log()
    changed = bytearray(rows[at].hash)
    changed[bit // 8] ^= 1 << (bit % 8)
    place = (rows[at].partition, rows[at].n)
    rows[at] = rows[at]._replace(hash=bytes(changed))
    assert (*place, "altered") in faults_of(rows)


@given(at=places)
def test_an_entry_altered_and_hashed_again_is_found_at_the_next_one(at: int) -> None:
    rows = log()
    changed = rows[at]._replace(verdict="suppress")
    changed = changed._replace(hash=link(changed))
    last = changed.n == LENGTH
    expected = set() if last else {(changed.partition, changed.n + 1, "unbound")}
    assert expected == faults_of([*rows[:at], changed, *rows[at + 1 :]])


@given(at=places)
def test_an_altered_last_entry_is_found_with_a_mark(at: int) -> None:
    rows = log()
    changed = rows[at]._replace(verdict="suppress")
    changed = changed._replace(hash=link(changed))
    assert (changed.partition, changed.n, "recomputed") in faults_of([*rows[:at], changed, *rows[at + 1 :]], [rows[at]])


@given(at=places)
def test_a_removed_entry_is_found_unless_it_was_the_last(at: int) -> None:
    rows = log()
    gone = rows.pop(at)
    expected = set() if gone.n == LENGTH else {(gone.partition, gone.n, "missing")}
    assert expected == faults_of(rows)


@given(length=st.integers(1, 4))
def test_a_cut_tail_is_found_with_a_mark(length: int) -> None:
    rows = log()
    last = [row for row in rows if row.n == LENGTH]
    kept = [row for row in rows if not (row.partition == 1 and row.n > LENGTH - length)]
    assert {(1, LENGTH - length + 1, "tail_cut")} == faults_of(kept, last)
    assert set() == faults_of(kept), "the chain alone can't tell"


def test_a_partition_that_is_gone_altogether_is_found_with_a_mark() -> None:
    rows = log()
    assert {(1, 1, "tail_cut")} == faults_of([row for row in rows if row.partition == 0], [rows[-1]])


@given(at=places)
def test_a_repeated_entry_is_found(at: int) -> None:
    rows = log()
    rows.insert(at, rows[at])
    assert (rows[at].partition, rows[at].n, "inserted") in faults_of(rows)


@given(at=places, number=st.integers(1, LENGTH))
def test_an_inserted_entry_is_found(at: int, number: int) -> None:
    """Whatever number a forged entry takes, and though it has a hash of its own, it can't be put in unseen."""
    rows = log()
    forged = rows[at]._replace(n=number, intent_id="forged")
    forged = forged._replace(hash=link(forged))
    with_it = sorted([*rows, forged], key=lambda row: (row.partition, row.n))
    assert any(partition == forged.partition for partition, _, _ in faults_of(with_it))


@given(data=st.data())
def test_any_other_order_is_found(data: st.DataObject) -> None:
    rows = log()
    order = data.draw(st.permutations(range(len(rows))))
    shuffled = [rows[i] for i in order]
    # whole partitions may trade places: the stores give them by number
    whole = [rows[LENGTH:] + rows[:LENGTH], rows]
    assert bool(faults_of(shuffled)) == (shuffled not in whole)


@given(data=st.data())
def test_contents_that_traded_places_are_found(data: st.DataObject) -> None:
    rows = log()
    one, two = data.draw(st.lists(places, min_size=2, max_size=2, unique=True))
    swapped = list(rows)
    keep: Callable[[LogRow, LogRow], LogRow] = lambda place, content: content._replace(  # noqa: E731 - reads as one
        partition=place.partition, n=place.n
    )
    swapped[one], swapped[two] = keep(rows[one], rows[two]), keep(rows[two], rows[one])
    assert faults_of(swapped)


@given(at=places, data=st.data())
def test_a_recomputed_chain_is_found_with_a_mark_alone(at: int, data: st.DataObject) -> None:
    """Somebody removes or changes an entry and computes every later hash anew."""
    rows = log()
    changed = list(rows)
    if data.draw(st.booleans()):
        changed[at] = changed[at]._replace(verdict="suppress")
    else:
        del changed[at]
    forged = rehashed(changed)
    assert set() == faults_of(forged), "the chain alone can't tell"
    assert faults_of(forged, [row for row in rows if row.n == LENGTH])


@given(at=places, data=st.data())
def test_a_mark_in_the_middle_covers_what_stands_before_it(at: int, data: st.DataObject) -> None:
    rows = log()
    mark = rows[at]
    before = data.draw(
        st.sampled_from([i for i, row in enumerate(rows) if row.partition == mark.partition and i <= at])
    )
    changed = list(rows)
    changed[before] = changed[before]._replace(verdict="suppress")
    assert (mark.partition, mark.n, "recomputed") in faults_of(rehashed(changed), [mark])


def test_values_of_a_wrong_kind_are_told_and_stop_nothing() -> None:
    rows = log()
    rows[1] = rows[1]._replace(prev_hash="text")  # type: ignore[arg-type]  # as a database without types may give it
    rows[3] = rows[3]._replace(trail=None)  # type: ignore[arg-type]  # likewise
    rows[8] = rows[8]._replace(n="8")  # type: ignore[arg-type]  # likewise
    found = faults_of(rows)
    assert {(0, 2, "altered"), (0, 4, "altered"), (1, 3, "altered")} <= found


def test_one_change_is_told_once() -> None:
    rows = log(partitions=1, length=1_000)
    rows[10] = rows[10]._replace(verdict="suppress")
    assert {(0, 11, "altered")} == faults_of(rows)


def test_all_faults_are_counted_and_the_first_are_kept() -> None:
    faults = Faults()
    walk([row._replace(verdict="suppress") for row in log(partitions=1, length=1_000)], faults)
    assert (1_000, KEPT) == (faults.found, len(faults.kept))


def test_the_walk_holds_no_rows() -> None:
    """A log of any length is walked in the same memory: rows come from an iterator and are let go."""
    rows = log(partitions=1, length=50)
    alive = 0

    class Counted(LogRow):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def stream() -> object:
        nonlocal alive
        for row in rows:
            alive += 1
            yield Counted(*row)
            assert alive <= 3

    assert 50 == walk(stream(), Faults()).entries  # type: ignore[arg-type]  # an iterator of rows
