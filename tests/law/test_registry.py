"""Do-not-contact lists: read whole or not at all, and kept as fingerprints only."""

from datetime import UTC, datetime

import pytest

from orchestrator.content import locate
from orchestrator.content.laws import load_laws
from orchestrator.content.registry_file import Entry, keep_registry, load_registry_file
from orchestrator.errors import ContentError, UsageError
from orchestrator.stores.sql.store import SqlStore
from orchestrator.times import micros
from orchestrator.vault import KeyFile, Vault

BOOK = load_laws(locate.shipped("channel_policies") / "laws")
AT = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


@pytest.fixture
def vault(tmp_path):
    return Vault(KeyFile.create(tmp_path / "key"))


@pytest.fixture
def store(tmp_path):
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", 2)
    yield store
    store.close()


def written(tmp_path, text):
    path = tmp_path / "list.csv"
    path.write_text(text)
    return path


def test_numbers_are_read_with_their_country_and_doubles_once(tmp_path):
    path = written(
        tmp_path, "# checked-at: 2026-11-20T06:00:00Z\naddress\n300 123 4567\n+573001234567\nAna@Example.com\n"
    )
    entries, checked_at = load_registry_file(path, "CO")
    assert (Entry("", "+573001234567"), Entry("", "Ana@example.com")) == entries
    assert AT == checked_at


def test_an_unreadable_line_refuses_the_list_and_quotes_nothing(tmp_path):
    path = written(tmp_path, "+573001234567\nnobody\n+57\n")
    with pytest.raises(ContentError) as error:
        load_registry_file(path)
    assert [2, 3] == [problem.line for problem in error.value.problems]
    assert "nobody" not in str(error.value)


def test_a_stamp_that_is_no_instant_is_refused(tmp_path):
    with pytest.raises(ContentError, match="checked-at is no instant"):
        load_registry_file(written(tmp_path, "# checked-at: last week\n"))


def test_a_list_for_each_channel_is_kept_apart(tmp_path, store, vault):
    path = written(tmp_path, "+573001234567,sms\n+573001234568\nana@example.com\n")
    entries, _ = load_registry_file(path)
    loaded = keep_registry(BOOK, store, vault, "RNE", entries, AT)
    assert {
        "RNE/email": 1,
        "RNE/phone": 1,
        "RNE/push": 0,
        "RNE/sms": 2,
        "RNE/telegram": 0,
        "RNE/whatsapp": 1,
    } == loaded.lists
    number = vault.fingerprint("sms", "+573001234567")
    progress = store.take([0])
    with store.batch(list(progress.values())) as batch:
        found = batch.registry([("RNE/sms", number), ("RNE/phone", number)])
    assert {("RNE/sms", number): (True, micros(AT)), ("RNE/phone", number): (False, micros(AT))} == found


def test_a_list_for_numbers_covers_every_channel_of_its_rule(tmp_path, store, vault):
    entries, _ = load_registry_file(written(tmp_path, "+12125550123\n+12125550124\n"))
    assert {"National DNC": 2} == keep_registry(BOOK, store, vault, "National DNC", entries, AT).lists


def test_a_list_that_no_pack_reads_is_wrong_use(store, vault):
    with pytest.raises(UsageError, match="no law pack reads a list 'Bloctel'"):
        keep_registry(BOOK, store, vault, "Bloctel", (), AT)


def test_an_entry_never_shows_its_address():
    assert "3001234567" not in repr(Entry("sms", "+573001234567"))
