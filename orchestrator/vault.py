"""Keys, and what is done with them: sealing members' data, keyed names for members and addresses, signatures.

Every member's data is sealed with a key of its own (AES-256-GCM). That key lies in the store, wrapped by the master
key of a key file that lies outside the store; destroying the wrapped key makes all that it sealed unreadable for
good. Nonces are drawn from the system for each sealing, so that forks and frozen copies of a process never repeat one.

Dead letters can't be sealed with a member's key (nobody knows yet whose they are), so they get a key of the week.
Each week's key is a hash of the one before. To let old weeks expire, the key file is moved forward to a later week:
no key can be computed backwards.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator import secret_files
from orchestrator.errors import SetupError, Tampered
from orchestrator.times import micros

_WEEK_US = 7 * 86_400 * 1_000_000
_NONCE = 12
_TAG = 16
# of a link: nobody can try 2^79 of them over the network
_MAC = 10
_FORM = b"\x01"
# form, master key's name, nonce, data key, tag
_WRAPPED = 1 + 4 + _NONCE + 32 + _TAG
# numbers that are one number, whatever carries the message
_PHONE = frozenset({"sms", "whatsapp", "phone"})


class KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="orchestrator-key-1"):
    """The secrets of one project: a JSON file, 0600, made by `init`, never stored with the data.

    Losing it loses every member's data; whoever reads it reads them all. Back it up apart from the store.
    """

    # when it was made, aware UTC
    created: datetime
    # 32 bytes each, base64
    master: bytes
    id: bytes
    signing: bytes
    # key of the oldest week of dead letters that can still be read, and that week (whole weeks since 1970)
    dead: bytes
    dead_week: int

    def __post_init__(self) -> None:
        """Refuses keys of a wrong length."""
        if any(len(key) != 32 for key in (self.master, self.id, self.signing, self.dead)):
            raise ValueError("every key is 32 bytes")

    def __repr__(self) -> str:
        """Never shows a key."""
        return f"KeyFile(created={self.created.isoformat()})"

    @staticmethod
    def create(path: Path, at: datetime | None = None) -> KeyFile:
        """A new key file at `path`, complete on disk before it returns; a missing parent folder is made 0700.

        `at` is the moment of making, aware; now where left out. Dead letters of an earlier week are sealed with this
        week's key. Raises SetupError where `path` exists: a key file is never overwritten.
        """
        at = at or datetime.now(UTC)
        key_file = KeyFile(
            created=at,
            master=secrets.token_bytes(32),
            id=secrets.token_bytes(32),
            signing=secrets.token_bytes(32),
            dead=secrets.token_bytes(32),
            dead_week=_week(at),
        )
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            secret_files.put(path, _written(key_file), new=True)
        except FileExistsError:
            raise SetupError(
                f"{path} exists and is not overwritten, since all members' data hangs on it; "
                "name another place in orchestrator.toml: keys.file"
            ) from None
        except OSError as error:
            raise SetupError(
                f"{path} can't be written ({error.strerror}); see keys.file in orchestrator.toml"
            ) from None
        return key_file

    @staticmethod
    def load(path: Path) -> KeyFile:
        """The key file at `path`; raises SetupError with the cure where it is missing, damaged or open to others."""
        try:
            mode = path.stat().st_mode
            raw = path.read_bytes()
        except FileNotFoundError:
            raise SetupError(
                f"{path} does not exist; restore it from your backup, or name it in orchestrator.toml (keys.file) or "
                "in ORCHESTRATOR_KEY_FILE; a new project gets one from: orchestrator init DIR"
            ) from None
        except PermissionError:
            raise SetupError(f"{path} can't be read by this user; cure: chown $(id -un) {path}") from None
        except OSError as error:
            raise SetupError(f"{path} can't be read ({error.strerror}); see keys.file in orchestrator.toml") from None
        secret_files.refuse_open(path, mode)
        try:
            return msgspec.json.decode(raw, type=KeyFile)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # the reason is left out: it might quote a key
            raise SetupError(f"{path} is no key file, or damaged; restore it from your backup") from None

    def expire_dead(self, path: Path, before: datetime) -> KeyFile:
        """The key file with every dead-letter key of weeks that ended by `before` gone, also from disk.

        Running processes keep what they loaded until they are started again. Moving back does nothing.
        """
        week = _week(before)
        if week <= self.dead_week:
            return self
        later = msgspec.structs.replace(self, dead=_ratchet(self.dead, week - self.dead_week), dead_week=week)
        secret_files.put(path, _written(later), new=False)
        return later


class Sealer:
    """Seals and opens bytes with one member's key; both are bound to that member's reference."""

    __slots__ = ("_aead", "_ref")

    def __init__(self, ref: str, key: bytes) -> None:
        self._aead, self._ref = AESGCM(key), ref.encode()

    def __repr__(self) -> str:
        """Never shows the key."""
        return f"Sealer(ref={self._ref.decode()!r})"

    def seal(self, plain: bytes) -> bytes:
        """`plain`, encrypted and authenticated: nonce (12 bytes), ciphertext, tag (16 bytes)."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, self._ref)

    def open(self, sealed: bytes) -> bytes:
        """What `seal` was given; raises Tampered where the bytes were altered or belong to another member."""
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._ref)
        except (InvalidTag, ValueError):
            raise Tampered(
                f"sealed data of {self._ref.decode()} does not open with its key: altered, or moved from elsewhere"
            ) from None


class Vault:
    """What a key file is for. Safe to share between threads; holds no data of members."""

    __slots__ = (
        *("_codes", "_dead", "_file", "_fingerprint", "_links", "_master", "_master_name", "_member", "_signing"),
        "id_key",
    )

    def __init__(self, key_file: KeyFile) -> None:
        self._file = key_file
        self._master = AESGCM(key_file.master)
        self._master_name = hashlib.blake2b(key_file.master, digest_size=4, person=b"master-name").digest()
        # for the keyed hashes of intents and touches
        self.id_key = _derive(key_file.id, b"ids")
        self._member = hashlib.blake2b(key=_derive(key_file.id, b"member"), digest_size=16)
        self._fingerprint = hashlib.blake2b(key=_derive(key_file.id, b"contact-point"), digest_size=16)
        self._links = _derive(key_file.id, b"links")
        self._codes = AESGCM(_derive(key_file.master, b"vouchers"))
        self._dead: dict[int, AESGCM] = {}
        self._signing = Ed25519PrivateKey.from_private_bytes(key_file.signing)

    def __repr__(self) -> str:
        """Never shows a key."""
        return f"Vault({self._file!r})"

    # --- keyed names

    def member(self, member_id: str) -> bytes:
        """16 bytes that stand for a member's id in the store; without the key file nobody can tell for whom."""
        keyed = self._member.copy()
        keyed.update(member_id.encode())
        return keyed.digest()

    def fingerprint(self, channel: str, address: str) -> str:
        """32 hex digits that stand for a contact point outside its member's state.

        SMS, WhatsApp and calls to one number share one fingerprint, so that a word about the number reaches all three.
        Numbers are E.164; only their digits count. E-mail addresses are compared without regard to case, the local
        part included: RFC 5321 would let `Ana@` and `ana@` be two people, no provider does, and an opt-out that
        misses its owner over a capital letter is the worse mistake.
        """
        if channel in _PHONE:
            name = "phone\0" + "".join(c for c in address if c in "0123456789")
        else:
            name = f"{channel}\0{address.strip().lower() if channel == 'email' else address.strip()}"
        keyed = self._fingerprint.copy()
        keyed.update(name.encode())
        return keyed.hexdigest()

    # --- tokens of links

    def token(self, kind: str, body: bytes) -> str:
        """`body` and ten bytes that only this key file can make for it, URL-safe; good for one `kind` of link alone."""
        return base64.urlsafe_b64encode(body + self._mac(kind, body)).rstrip(b"=").decode()

    def body_of(self, kind: str, token: str) -> bytes | None:
        """What `token` was given, None for any other text: malformed and unknown ones can't be told apart."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        genuine = hmac.compare_digest(mac, self._mac(kind, body)) and token == self.token(kind, body)
        return body if genuine else None

    def _mac(self, kind: str, body: bytes) -> bytes:
        return hashlib.blake2b(body, key=self._links, digest_size=_MAC, person=kind.encode()).digest()

    # --- a key for each member

    def new_key(self) -> tuple[str, bytes, Sealer]:
        """A random reference (32 hex digits), a new wrapped key for the store, and its sealer."""
        ref, key, nonce = secrets.token_hex(16), secrets.token_bytes(32), os.urandom(_NONCE)
        wrapped = _FORM + self._master_name + nonce + self._master.encrypt(nonce, key, ref.encode())
        return ref, wrapped, Sealer(ref, key)

    def sealer(self, ref: str, wrapped: bytes) -> Sealer:
        """The sealer of a reference, from its wrapped key.

        Raises SetupError where another key file wrapped it, Tampered where it was altered or belongs elsewhere.
        """
        if len(wrapped) != _WRAPPED or wrapped[:1] != _FORM:
            raise Tampered(f"the wrapped key of {ref} was altered")
        if wrapped[1:5] != self._master_name:
            raise SetupError(
                "the key file is not the one this store was made with; "
                "name the right one in orchestrator.toml (keys.file) or in ORCHESTRATOR_KEY_FILE"
            )
        try:
            return Sealer(ref, self._master.decrypt(wrapped[5:17], wrapped[17:], ref.encode()))
        except InvalidTag:
            raise Tampered(f"the wrapped key of {ref} was altered, or belongs to another member") from None

    # --- voucher codes

    def seal_code(self, code: str, fingerprint: str) -> bytes:
        """A voucher code that is nobody's yet, sealed; it opens beside its own fingerprint alone."""
        nonce = os.urandom(_NONCE)
        return nonce + self._codes.encrypt(nonce, code.encode(), fingerprint.encode())

    def open_code(self, sealed: bytes, fingerprint: str) -> str:
        """What `seal_code` was given; raises Tampered where it was altered, or sealed under another key file."""
        try:
            return self._codes.decrypt(sealed[:_NONCE], sealed[_NONCE:], fingerprint.encode()).decode()
        except (InvalidTag, ValueError):
            raise Tampered("a voucher code was altered, or sealed under another key file") from None

    # --- dead letters

    def seal_dead(self, raw: bytes, at: datetime) -> bytes:
        """`raw`, sealed with the key of the week of `at` (aware), or of the oldest week kept where that is later."""
        week = max(_week(at), self._file.dead_week)
        head, nonce = week.to_bytes(4, "big"), os.urandom(_NONCE)
        return head + nonce + self._dead_of(week).encrypt(nonce, raw, head)

    def open_dead(self, sealed: bytes) -> bytes:
        """What `seal_dead` was given; raises SetupError once its key expired, Tampered where it was altered."""
        head = sealed[:4]
        week = int.from_bytes(head, "big")
        if week < self._file.dead_week:
            raise SetupError(
                "the key of this dead letter has expired; its reason and position are all that is left, "
                "send the event again from its source"
            )
        # a week that no clock can name: the head was altered, and no time is spent on deriving its key
        if week > 600_000:
            raise Tampered("a dead letter was altered")
        try:
            return self._dead_of(week).decrypt(sealed[4:16], sealed[16:], head)
        except (InvalidTag, ValueError):
            raise Tampered("a dead letter was altered, or sealed under another key file") from None

    def _dead_of(self, week: int) -> AESGCM:
        aead = self._dead.get(week)
        if aead is None:
            aead = self._dead[week] = AESGCM(_ratchet(self._file.dead, week - self._file.dead_week))
        return aead

    # --- signatures

    @property
    def public_key(self) -> bytes:
        """The 32 bytes with which anyone can check our signatures."""
        return self._signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, body: bytes) -> bytes:
        """The Ed25519 signature of `body`, 64 bytes."""
        return self._signing.sign(body)

    @staticmethod
    def verify(public_key: bytes, body: bytes, signature: bytes) -> bool:
        """Whether `signature` was made over exactly `body` by the owner of `public_key`."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, body)
        except (InvalidSignature, ValueError):
            return False
        return True


def _week(at: datetime) -> int:
    """Whole weeks since 1970; 0 for anything before."""
    return max(0, micros(at) // _WEEK_US)


def _derive(key: bytes, purpose: bytes) -> bytes:
    """A key for one purpose: what is learnt of one says nothing of another."""
    return hashlib.blake2b(key=key, person=purpose, digest_size=32).digest()


def _ratchet(key: bytes, weeks: int) -> bytes:
    """The key of so many weeks later; there is no way back."""
    for _ in range(weeks):
        key = hashlib.blake2b(key=key, person=b"dead-next-week", digest_size=32).digest()
    return key


def _written(key_file: KeyFile) -> bytes:
    return msgspec.json.format(msgspec.json.encode(key_file), indent=2) + b"\n"
