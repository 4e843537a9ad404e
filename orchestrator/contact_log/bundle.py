"""One zip for an auditor: the log up to a checkpoint, all checkpoints, the content revisions that its entries name.

It verifies offline, with nothing but this file (and, better, a checkpoint and a public key that were kept elsewhere):

    log.jsonl                the export, up to exactly the last checkpoint
    checkpoints/00000001     each checkpoint, two lines
    revisions/<revision>     the content that decided, as the store keeps it
    manifest.json            SHA-256 of each of these, and the revisions that were not at hand
    manifest.sig             Ed25519 signature of manifest.json, hex
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, cast

import msgspec
from msgspec import Struct

from orchestrator.contact_log import checkpoint as checkpoints
from orchestrator.contact_log.checkpoint import Checkpoint
from orchestrator.contact_log.export import read_rows, write_rows
from orchestrator.contact_log.walk import Fault, Faults, reach, walk
from orchestrator.errors import Tampered
from orchestrator.stores.contract import LogRow, Store
from orchestrator.vault import Vault

LOG, MANIFEST, SIGNATURE = "log.jsonl", "manifest.json", "manifest.sig"
# revision -> its body, None where it is not kept
RevisionOf = Callable[[str], bytes | None]


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="orchestrator-bundle-1"):
    """What a bundle holds; its signature covers the whole of it."""

    # number of the checkpoint that the log goes up to
    checkpoint: int
    entries: int
    # name -> SHA-256, hex
    files: dict[str, str]
    # revisions that entries name, and that are not in the bundle
    absent: tuple[str, ...]
    # Ed25519, hex
    public_key: str


class BundleReport(Struct, frozen=True, kw_only=True):
    """What was put together, or what verifying it came to."""

    # whether nothing is wrong
    ok: bool
    checkpoint: int
    checkpoint_at: str
    entries: int
    revisions: int
    # revisions that entries name and that were not kept
    absent: tuple[str, ...]
    # what signed it: to be compared with what was written down when the project was set up
    public_key: str
    found: int = 0
    faults: tuple[Fault, ...] = ()


def bundle(store: Store, vault: Vault, at: datetime, out: Path, revision_of: RevisionOf | None = None) -> BundleReport:
    """Signs a checkpoint now, and writes the zip of everything up to it.

    `revision_of` gives the body of a content revision; the store's documents where left out. Raises Tampered where the
    log does not follow from the last checkpoint.
    """
    last = checkpoints.make_checkpoint(store, vault, at)
    body_of = revision_of or (lambda name: store.get_document("revision", name))
    files: dict[str, str] = {}
    absent: list[str] = []
    named: set[str] = set()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        with pack.open(LOG, "w", force_zip64=True) as file:
            hashed = _Hashed(file)
            entries = write_rows(_named(_up_to(store, last), named), cast(IO[bytes], hashed))
        files[LOG] = hashed.digest
        for name in store.documents(checkpoints.KIND):
            if name <= last.name:
                _add(pack, files, f"checkpoints/{name}", store.get_document(checkpoints.KIND, name) or b"")
        for name in sorted(named):
            body = body_of(name)
            if body is None:
                absent.append(name)
            else:
                _add(pack, files, f"revisions/{name}", body)
        manifest = Manifest(
            checkpoint=last.number, entries=entries, files=files, absent=tuple(absent), public_key=last.public_key
        )
        raw = msgspec.json.encode(manifest)
        pack.writestr(MANIFEST, raw)
        pack.writestr(SIGNATURE, vault.sign(raw).hex())
    return _report(manifest, last, Faults())


def verify_bundle(path: Path, public_key: bytes | None = None, kept: Checkpoint | None = None) -> BundleReport:
    """Verifies a bundle offline: signatures, hashes, the row of checkpoints, the chains of the log.

    `public_key` is the key that must have signed it; `kept` a checkpoint that was kept elsewhere, which the bundle's
    log must continue. Without both it shows damage, but not a forger who signed everything anew. Raises Tampered where
    the file is no bundle, or what is signed in it does not verify.
    """
    faults = Faults()
    try:
        with zipfile.ZipFile(path) as pack:
            manifest = _manifest(pack, public_key)
            _hashes(pack, manifest, faults)
            last = _row_of_checkpoints(pack, manifest, faults)
            named: set[str] = set()
            marks = {**(kept.marks if kept else {})}
            for mark, hash_ in last.marks.items():
                if marks.setdefault(mark, hash_) != hash_:
                    faults.add(*mark, "recomputed", "the bundle's checkpoint is not what was signed before")
            with pack.open(LOG) as lines:
                walked = walk(_named(read_rows(lines), named), faults, marks=marks)
            reach(marks, walked, faults)
            for partition, (n, _) in walked.ends.items():
                if n > last.ends.get(partition, (0, b""))[0]:
                    faults.add(partition, n, "inserted", "it was not signed")
            for revision in sorted(named - set(manifest.absent)):
                if f"revisions/{revision}" not in manifest.files:
                    faults.add(-1, 0, "missing", f"revision {revision} is named in the log and not in the bundle")
    except (zipfile.BadZipFile, KeyError, EOFError):
        raise Tampered("this is no bundle, or it is damaged") from None
    return _report(manifest, last, faults)


def _manifest(pack: zipfile.ZipFile, public_key: bytes | None) -> Manifest:
    raw = pack.read(MANIFEST)
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
        key, signature = bytes.fromhex(manifest.public_key), bytes.fromhex(pack.read(SIGNATURE).decode())
    except (msgspec.DecodeError, ValueError):
        raise Tampered("the bundle's manifest can't be read: altered") from None
    if not Vault.verify(public_key or key, raw, signature) or key != (public_key or key):
        raise Tampered("the bundle's manifest is not signed with the key that was given for it")
    return manifest


def _hashes(pack: zipfile.ZipFile, manifest: Manifest, faults: Faults) -> None:
    there = set(pack.namelist()) - {MANIFEST, SIGNATURE}
    for name in sorted(there - manifest.files.keys()):
        faults.add(-1, 0, "inserted", f"{name} is in the bundle and not in its manifest")
    for name, digest in manifest.files.items():
        if name not in there:
            faults.add(-1, 0, "missing", f"{name} is in the manifest and not in the bundle")
            continue
        hashed = sha256()
        with pack.open(name) as file:
            while block := file.read(1 << 20):
                hashed.update(block)
        if hashed.hexdigest() != digest:
            faults.add(-1, 0, "altered", f"{name} is not what the manifest says: altered")


def _row_of_checkpoints(pack: zipfile.ZipFile, manifest: Manifest, faults: Faults) -> Checkpoint:
    """The last checkpoint; each must be signed and name the one before."""
    key = bytes.fromhex(manifest.public_key)
    names = sorted(name for name in manifest.files if name.startswith("checkpoints/"))
    row = [checkpoints.read(pack.read(name), key) for name in names]
    if not row or row[-1].number != manifest.checkpoint:
        raise Tampered(f"checkpoint {manifest.checkpoint} is not in the bundle")
    previous = "0" * 64
    for number, each in enumerate(row, 1):
        if each.number != number or each.previous != previous:
            faults.add(-1, 0, "missing", f"checkpoint {each.number} does not follow from the one before it")
        previous = each.digest
    return row[-1]


def _up_to(store: Store, last: Checkpoint) -> Iterator[LogRow]:
    for head in last.heads:
        for row in store.log(partition=head.partition):
            if row.n > head.n:
                break
            yield row


def _named(rows: Iterator[LogRow], named: set[str]) -> Iterator[LogRow]:
    """The rows, collecting the revisions that they name."""
    for row in rows:
        if row.revision:
            named.add(row.revision)
        yield row


def _add(pack: zipfile.ZipFile, files: dict[str, str], name: str, body: bytes) -> None:
    pack.writestr(name, body)
    files[name] = sha256(body).hexdigest()


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self._hash = out, sha256()

    def write(self, block: bytes) -> int:
        self._hash.update(block)
        return self._out.write(block)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _report(manifest: Manifest, last: Checkpoint, faults: Faults) -> BundleReport:
    return BundleReport(
        ok=not faults.found,
        checkpoint=last.number,
        checkpoint_at=last.at,
        entries=manifest.entries,
        revisions=sum(name.startswith("revisions/") for name in manifest.files),
        absent=manifest.absent,
        public_key=manifest.public_key,
        found=faults.found,
        faults=tuple(faults.kept),
    )
