"""A person's own signing key (Ed25519): a file of theirs, outside the project, that nobody else can read."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator import secret_files
from orchestrator.errors import SetupError

_BYTES = 32


class PersonKey:
    """Signs as one person."""

    __slots__ = ("_key",)

    def __init__(self, raw: bytes) -> None:
        """The 32 bytes of the private key."""
        self._key = Ed25519PrivateKey.from_private_bytes(raw)

    def __repr__(self) -> str:
        """Never shows the key."""
        return f"PersonKey({self.public})"

    @property
    def public(self) -> str:
        """What others check the signatures with, in base64: 44 characters."""
        return base64.b64encode(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def sign(self, body: bytes) -> str:
        """The signature of `body`, in base64."""
        return base64.b64encode(self._key.sign(body)).decode()

    @staticmethod
    def create(path: Path) -> PersonKey:
        """A new key at `path` (0600); raises SetupError where something is there, or it can't be written."""
        raw = os.urandom(_BYTES)
        try:
            secret_files.put(path, base64.b64encode(raw) + b"\n", new=True)
        except FileExistsError:
            raise SetupError(f"{path} exists and is not overwritten; name another file") from None
        except OSError as error:
            raise SetupError(f"{path} can't be written: {error.strerror}") from None
        return PersonKey(raw)

    @staticmethod
    def load(path: Path) -> PersonKey:
        """The key in a file; raises SetupError where it is missing, no key, or open to others."""
        try:
            mode, text = path.stat().st_mode, path.read_bytes()
        except OSError as error:
            raise SetupError(
                f"{path} can't be read: {error.strerror}; make one: orchestrator content new-key"
            ) from None
        secret_files.refuse_open(path, mode)
        try:
            raw = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            raw = b""
        if len(raw) != _BYTES:
            raise SetupError(f"{path} is no key of a person; make one: orchestrator content new-key")
        return PersonKey(raw)
