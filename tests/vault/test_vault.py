"""Keys: what is sealed opens with its own key alone, and without the key nothing opens again."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SetupError, Tampered
from orchestrator.vault import KeyFile, Vault

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def new_vault(folder: Path, name: str = "a.key") -> Vault:
    return Vault(KeyFile.create(folder / name, NOW))


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return new_vault(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return new_vault(tmp_path_factory.mktemp("other"))


# --- the key file


def test_a_new_key_file_is_its_owners_alone_and_so_is_a_folder_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "a.key"
    KeyFile.create(path, NOW)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"


def test_a_key_file_read_back_gives_the_same_keys(tmp_path: Path) -> None:
    made = KeyFile.create(tmp_path / "a.key", NOW)
    assert made == KeyFile.load(tmp_path / "a.key")


def test_an_existing_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    KeyFile.create(path, NOW)
    before = path.read_bytes()
    with pytest.raises(SetupError, match="not overwritten"):
        KeyFile.create(path, NOW)
    assert before == path.read_bytes()


def test_nothing_but_the_key_file_is_left_in_its_folder(tmp_path: Path) -> None:
    KeyFile.create(tmp_path / "a.key", NOW)
    with pytest.raises(SetupError):
        KeyFile.create(tmp_path / "a.key", NOW)
    assert ["a.key"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_file_open_to_others_is_refused_with_the_command_that_closes_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.key"
    KeyFile.create(path, NOW)
    path.chmod(mode)
    with pytest.raises(SetupError, match=f"chmod 600 {path}"):
        KeyFile.load(path)


def test_a_key_file_that_only_its_owner_reads_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    made = KeyFile.create(path, NOW)
    path.chmod(0o400)
    assert made == KeyFile.load(path)


def test_a_missing_key_file_is_told_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="restore it from your backup"):
        KeyFile.load(tmp_path / "none.key")


@pytest.mark.parametrize("damage", ["empty", "cut", "no_json", "short_key", "no_key", "unknown_field", "not_utf8"])
def test_a_damaged_key_file_is_told_without_a_word_of_its_content(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.key"
    KeyFile.create(path, NOW)
    fields = json.loads(path.read_text())
    secret = fields["master"]
    bodies = {
        "empty": b"",
        "cut": path.read_bytes()[:200],
        "no_json": b"master=" + secret.encode(),
        "short_key": json.dumps(fields | {"master": "AAAA"}).encode(),
        "no_key": json.dumps({k: v for k, v in fields.items() if k != "signing"}).encode(),
        "unknown_field": json.dumps(fields | {"more": secret}).encode(),
        "not_utf8": b"\xff\xfe" + secret.encode(),
    }
    path.write_bytes(bodies[damage])
    with pytest.raises(SetupError, match="restore it from your backup") as caught:
        KeyFile.load(path)
    assert secret[:8] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_keys_are_shown_nowhere(tmp_path: Path) -> None:
    key_file = KeyFile.create(tmp_path / "a.key", NOW)
    vault = Vault(key_file)
    _, _, sealer = vault.new_key()
    shown = f"{key_file!r} {key_file} {vault!r} {vault} {sealer!r} {sealer}"
    for key in (key_file.master, key_file.id, key_file.signing, key_file.dead, vault.id_key):
        assert repr(key)[2:-1] not in shown
        assert key.hex() not in shown
    assert "object at" not in shown


# --- sealing


@given(plain=st.binary(max_size=5_000))
def test_what_was_sealed_comes_back(vault: Vault, plain: bytes) -> None:
    ref, wrapped, sealer = vault.new_key()
    assert plain == vault.sealer(ref, wrapped).open(sealer.seal(plain))


@given(plain=st.binary(min_size=1, max_size=200), data=st.data())
def test_any_altered_bit_of_sealed_data_is_found(vault: Vault, plain: bytes, data: st.DataObject) -> None:
    _, _, sealer = vault.new_key()
    sealed = bytearray(sealer.seal(plain))
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << (at % 8)
    with pytest.raises(Tampered):
        sealer.open(bytes(sealed))


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27])
def test_sealed_data_that_was_cut_is_found(vault: Vault, length: int) -> None:
    _, _, sealer = vault.new_key()
    with pytest.raises(Tampered):
        sealer.open(sealer.seal(b"")[:length])


def test_the_same_plain_text_is_sealed_differently_each_time(vault: Vault) -> None:
    _, _, sealer = vault.new_key()
    assert 100 == len({sealer.seal(b"same") for _ in range(100)})


def test_sealed_data_shows_nothing_of_what_it_holds(vault: Vault) -> None:
    _, _, sealer = vault.new_key()
    assert b"ana@example.com" not in sealer.seal(b"ana@example.com" * 20)


def test_one_members_key_does_not_open_anothers_data(vault: Vault) -> None:
    _, _, one = vault.new_key()
    _, _, two = vault.new_key()
    with pytest.raises(Tampered):
        two.open(one.seal(b"hello"))


def test_a_wrapped_key_serves_its_own_reference_alone(vault: Vault) -> None:
    _, wrapped, _ = vault.new_key()
    ref, _, _ = vault.new_key()
    with pytest.raises(Tampered):
        vault.sealer(ref, wrapped)


@given(at=st.integers(0, 64 * 8 - 1))
def test_any_altered_bit_of_a_wrapped_key_is_found(vault: Vault, at: int) -> None:
    ref, wrapped, _ = vault.new_key()
    altered = bytearray(wrapped)
    altered[at // 8] ^= 1 << (at % 8)
    with pytest.raises((Tampered, SetupError)):
        vault.sealer(ref, bytes(altered))


def test_another_key_file_is_told_from_tampering(vault: Vault, other: Vault) -> None:
    ref, wrapped, _ = vault.new_key()
    with pytest.raises(SetupError, match="not the one this store was made with"):
        other.sealer(ref, wrapped)


def test_without_its_wrapped_key_a_members_data_stays_closed(vault: Vault) -> None:
    """Erasure: the key file alone, and every other key that there is, open nothing."""
    ref, wrapped, sealer = vault.new_key()
    sealed = sealer.seal(b"hello")
    others = [vault.new_key() for _ in range(20)]
    del wrapped, sealer
    for _, their_key, their_sealer in others:
        with pytest.raises(Tampered):
            their_sealer.open(sealed)
        with pytest.raises(Tampered):
            vault.sealer(ref, their_key).open(sealed)


def test_references_are_random_and_of_32_hex_digits(vault: Vault) -> None:
    refs = {vault.new_key()[0] for _ in range(200)}
    assert 200 == len(refs)
    assert all(len(bytes.fromhex(ref)) == 16 for ref in refs)


def test_a_forked_process_does_not_repeat_nonces(vault: Vault) -> None:
    """Equal nonces under one key would give the key stream away."""
    _, _, sealer = vault.new_key()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, sealer.seal(b"")[:12])
        os._exit(0)
    ours = sealer.seal(b"")[:12]
    os.waitpid(child, 0)
    assert ours != os.read(read, 12)
    os.close(read)
    os.close(write)


# --- keyed names


def test_a_members_keyed_name_is_steady_and_differs_by_project(vault: Vault, other: Vault) -> None:
    assert vault.member("m-1") == vault.member("m-1")
    assert 16 == len(vault.member("m-1"))
    assert vault.member("m-1") != vault.member("m-2")
    assert vault.member("m-1") != other.member("m-1")


def test_names_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    first, second = Vault(KeyFile.create(path, NOW)), Vault(KeyFile.load(path))
    assert first.member("m-1") == second.member("m-1")
    assert first.fingerprint("sms", "+573001234567") == second.fingerprint("sms", "+573001234567")
    assert first.id_key == second.id_key


def test_a_number_is_one_contact_point_whatever_carries_the_message(vault: Vault) -> None:
    marks = {vault.fingerprint(channel, "+573001234567") for channel in ("sms", "whatsapp", "phone")}
    assert 1 == len(marks)
    assert marks != {vault.fingerprint("sms", "+573001234568")}


@pytest.mark.parametrize("written", ["+57 300 123 4567", "+57-300-123-4567", " +573001234567", "+57 (300) 1234567"])
def test_spaces_and_signs_do_not_make_another_number(vault: Vault, written: str) -> None:
    assert vault.fingerprint("sms", "+573001234567") == vault.fingerprint("sms", written)


@pytest.mark.parametrize("written", ["ana@EXAMPLE.com", "Ana@example.com", " ana@example.com "])
def test_case_does_not_make_another_e_mail_address(vault: Vault, written: str) -> None:
    assert vault.fingerprint("email", "ana@example.com") == vault.fingerprint("email", written)


def test_channels_without_a_number_do_not_share_fingerprints(vault: Vault) -> None:
    marks = {vault.fingerprint(channel, "12345") for channel in ("email", "telegram", "push", "sms")}
    assert 4 == len(marks)


def test_a_fingerprint_is_32_hex_digits_and_no_plain_hash(vault: Vault, other: Vault) -> None:
    mark = vault.fingerprint("email", "ana@example.com")
    assert 16 == len(bytes.fromhex(mark))
    assert mark != other.fingerprint("email", "ana@example.com")


def test_member_fingerprint_and_id_keys_are_apart(vault: Vault) -> None:
    """A name of one kind must not be computable from one of another."""
    assert vault.member("email\0ana@example.com").hex() != vault.fingerprint("email", "ana@example.com")


# --- dead letters


def test_a_dead_letter_comes_back(vault: Vault) -> None:
    assert b"not json" == vault.open_dead(vault.seal_dead(b"not json", NOW))


@pytest.mark.parametrize("days", [-4_000, -1, 0, 1, 8, 400, 20_000])
def test_a_dead_letter_of_any_day_comes_back(vault: Vault, days: int) -> None:
    """The virtual clock seals at moments long before and after the key file was made."""
    assert b"x" == vault.open_dead(vault.seal_dead(b"x", NOW + timedelta(days=days)))


@given(at=st.integers(0, 40 * 8 - 1))
def test_an_altered_dead_letter_is_found(vault: Vault, at: int) -> None:
    sealed = bytearray(vault.seal_dead(b"12345678", NOW))
    assert 40 == len(sealed)
    sealed[at // 8] ^= 1 << (at % 8)
    with pytest.raises((Tampered, SetupError)):
        vault.open_dead(bytes(sealed))


def test_dead_letters_expire_by_the_week_and_later_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    key_file = KeyFile.create(path, NOW)
    vault = Vault(key_file)
    old, new = vault.seal_dead(b"old", NOW), vault.seal_dead(b"new", NOW + timedelta(days=21))
    key_file.expire_dead(path, NOW + timedelta(days=14))
    later = Vault(KeyFile.load(path))
    assert b"new" == later.open_dead(new)
    with pytest.raises(SetupError, match="expired"):
        later.open_dead(old)


def test_an_expired_weeks_key_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    key_file = KeyFile.create(path, NOW)
    later = key_file.expire_dead(path, NOW + timedelta(days=14))
    assert later == KeyFile.load(path)
    assert key_file.dead not in {later.dead, later.master, later.id, later.signing}
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_expiry_never_goes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    key_file = KeyFile.create(path, NOW)
    assert key_file == key_file.expire_dead(path, NOW - timedelta(days=700))
    assert key_file == KeyFile.load(path)


def test_expiry_leaves_members_data_and_names_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    key_file = KeyFile.create(path, NOW)
    vault = Vault(key_file)
    ref, wrapped, sealer = vault.new_key()
    sealed = sealer.seal(b"hello")
    key_file.expire_dead(path, NOW + timedelta(days=700))
    later = Vault(KeyFile.load(path))
    assert b"hello" == later.sealer(ref, wrapped).open(sealed)
    assert vault.member("m") == later.member("m")
    assert vault.public_key == later.public_key


# --- signatures


@given(body=st.binary(max_size=300))
def test_a_signature_holds_for_its_own_body_and_key_alone(vault: Vault, other: Vault, body: bytes) -> None:
    signature = vault.sign(body)
    assert Vault.verify(vault.public_key, body, signature)
    assert not Vault.verify(vault.public_key, body + b" ", signature)
    assert not Vault.verify(other.public_key, body, signature)


@pytest.mark.parametrize(("key", "signature"), [(b"", b"x" * 64), (b"x" * 32, b""), (b"x" * 31, b"x" * 64)])
def test_nonsense_is_no_signature(key: bytes, signature: bytes) -> None:
    assert not Vault.verify(key, b"body", signature)
