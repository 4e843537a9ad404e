"""One zip that proves itself: whatever is changed in it is found, by whoever holds the public key."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.contact_log import checkpoint as checkpoints
from orchestrator.contact_log.bundle import Manifest, bundle, verify_bundle
from orchestrator.contact_log.checkpoint import make_checkpoint
from orchestrator.errors import Tampered
from orchestrator.stores.contract import Store
from orchestrator.times import instant
from orchestrator.vault import Vault

NOW = instant(1_772_625_600_000_000)
Fill = Callable[[Store], None]


@pytest.fixture
def packed(store: Store, fill: Fill, vault: Vault, tmp_path: Path) -> Path:
    """A bundle with two checkpoints and the content that decided."""
    fill(store)
    store.put_document("revision", "rev-1", b"the content")
    make_checkpoint(store, vault, NOW)
    bundle(store, vault, NOW, tmp_path / "audit.zip")
    return tmp_path / "audit.zip"


def changed(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of a bundle in which some files are others."""
    with zipfile.ZipFile(path) as pack:
        files = {name: pack.read(name) for name in pack.namelist()}
    change(files)
    out = path.with_name("changed.zip")
    with zipfile.ZipFile(out, "w") as pack:
        for name, body in files.items():
            pack.writestr(name, body)
    return out


def test_a_bundle_verifies_offline(packed: Path, vault: Vault) -> None:
    report = verify_bundle(packed, vault.public_key)
    assert (True, 2, 34, 1, ()) == (report.ok, report.checkpoint, report.entries, report.revisions, report.absent)


def test_a_bundle_holds_the_log_up_to_its_checkpoint(
    store: Store, packed: Path, vault: Vault, add: Callable[..., Any], entries: Callable[..., Any]
) -> None:
    add(store, 0, entries(3))
    assert 34 == verify_bundle(packed, vault.public_key).entries


def test_content_that_is_not_kept_is_named(store: Store, fill: Fill, vault: Vault, tmp_path: Path) -> None:
    fill(store)
    bundle(store, vault, NOW, tmp_path / "audit.zip")
    report = verify_bundle(tmp_path / "audit.zip", vault.public_key)
    assert (True, ("rev-1",)) == (report.ok, report.absent)


@pytest.mark.parametrize("name", ["log.jsonl", "checkpoints/00000001", "checkpoints/00000002", "revisions/rev-1"])
def test_any_changed_file_is_found(packed: Path, vault: Vault, name: str) -> None:
    def change(files: dict[str, bytes]) -> None:
        body = files[name]
        files[name] = body[:-20] + bytes([body[-20] ^ 1]) + body[-19:] if len(body) > 20 else body + b"x"

    try:
        found = {fault.what for fault in verify_bundle(changed(packed, change), vault.public_key).faults}
    except Tampered:
        return
    assert "altered" in found


@pytest.mark.parametrize(
    "name", ["log.jsonl", "checkpoints/00000001", "checkpoints/00000002", "revisions/rev-1", "manifest.json"]
)
def test_any_missing_file_is_found(packed: Path, vault: Vault, name: str) -> None:
    def change(files: dict[str, bytes]) -> None:
        del files[name]

    try:
        assert not verify_bundle(changed(packed, change), vault.public_key).ok
    except Tampered:
        return


def test_an_added_file_is_found(packed: Path, vault: Vault) -> None:
    report = verify_bundle(changed(packed, lambda files: files.update({"more": b"x"})), vault.public_key)
    assert ["inserted"] == [fault.what for fault in report.faults]


def test_a_changed_manifest_is_found(packed: Path, vault: Vault) -> None:
    def change(files: dict[str, bytes]) -> None:
        manifest = msgspec.json.decode(files["manifest.json"], type=Manifest)
        files["manifest.json"] = msgspec.json.encode(msgspec.structs.replace(manifest, absent=("rev-1",)))

    with pytest.raises(Tampered, match="not signed"):
        verify_bundle(changed(packed, change), vault.public_key)


def test_a_bundle_signed_by_somebody_else_is_refused(packed: Path, other_vault: Vault) -> None:
    with pytest.raises(Tampered, match="not signed"):
        verify_bundle(packed, other_vault.public_key)


def test_a_forger_with_the_signing_key_is_found_by_a_checkpoint_that_was_kept(
    store: Store, fill: Fill, vault: Vault, packed: Path, add: Callable[..., Any], entries: Callable[..., Any]
) -> None:
    """Even the operator, who has the key, can't sign another past once a checkpoint is out of reach."""
    add(store, 0, entries(3))
    kept = make_checkpoint(store, vault, NOW)
    report = verify_bundle(packed, vault.public_key, kept)
    assert {(0, 16, "tail_cut")} == {(fault.partition, fault.n, fault.what) for fault in report.faults}


def test_a_checkpoint_left_out_of_the_row_is_found(packed: Path, vault: Vault) -> None:
    def change(files: dict[str, bytes]) -> None:
        manifest = msgspec.json.decode(files["manifest.json"], type=Manifest)
        kept = {name: digest for name, digest in manifest.files.items() if name != "checkpoints/00000001"}
        raw = msgspec.json.encode(msgspec.structs.replace(manifest, files=kept))
        del files["checkpoints/00000001"]
        files["manifest.json"], files["manifest.sig"] = raw, vault.sign(raw).hex().encode()

    report = verify_bundle(changed(packed, change), vault.public_key)
    assert ["checkpoint 2 does not follow from the one before it"] == [fault.sentence for fault in report.faults]


@pytest.mark.parametrize("body", [b"", b"PK", b"no zip at all" * 100])
def test_a_file_that_is_no_bundle_is_told(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "audit.zip"
    path.write_bytes(body)
    with pytest.raises(Tampered, match="no bundle"):
        verify_bundle(path)


def test_a_bundle_is_not_made_of_a_log_that_does_not_verify(
    store: Store, fill: Fill, vault: Vault, other_vault: Vault, tmp_path: Path
) -> None:
    fill(store)
    forged = checkpoints.write(make_checkpoint(store, other_vault, NOW), other_vault)
    store.put_document("checkpoint", "00000001", forged)
    with pytest.raises(Tampered):
        bundle(store, vault, NOW, tmp_path / "audit.zip")
