"""The bytes of the encrypted key file: names and keys in, one sealed block out, and back. Pure: salt and nonce are passed in.

    "TPKV" | version 1 | log2 N 1 | r 1 | p 1 | salt 16 | nonce 12 | ciphertext and tag | SHA-256 of all before, 32 bytes

- The passphrase is stretched with scrypt (RFC 7914); its costs stand in the file, so that later files may have higher ones.
  Argon2id would do as well, but needs an OpenSSL ≥ 3.2 below `cryptography`, and a file must open wherever Turnpike runs.
- The content is one JSON object under AES-256-GCM (NIST SP 800-38D), and the header is its associated data: no name and no key
  can be read, changed, exchanged or taken out alone.
- The checksum is no secret and protects nothing. It tells a damaged file from a wrong passphrase, which the tag alone can't.

VaultError
├── DamagedVault       no such file of ours, or not as it was written
└── WrongPassphrase    as it was written, but not openable: another passphrase, or somebody changed content and checksum
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from unicodedata import normalize

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MAGIC, VERSION = b"TPKV", 1
SALT_BYTES, NONCE_BYTES, KEY_BYTES, TAG_BYTES, CHECKSUM_BYTES = 16, 12, 32, 16, 32
MAX_STRETCHING_BYTES, MAX_PARALLEL = 2**30, 16  # a file that somebody made must not take all memory before it is known to be wrong

_HEADER = struct.Struct(f">4sBBBB{SALT_BYTES}s{NONCE_BYTES}s")


class VaultError(ValueError):
    """Why a vault can't be opened, and the remedy; nothing of what is in it."""


class DamagedVault(VaultError):
    """Not a vault, or not the bytes that were written."""


class WrongPassphrase(VaultError):
    """The bytes are as they were written, the passphrase is not."""


class Cost(NamedTuple):
    """Of scrypt: time and memory grow with 2**log2_n * r * 128 bytes, time also with p."""

    log2_n: int = 17
    r: int = 8
    p: int = 1

    @property
    def bearable(self) -> bool:
        memory_bytes = 128 * self.r << self.log2_n
        return self.log2_n > 0 and self.r > 0 and 0 < self.p <= MAX_PARALLEL and memory_bytes <= MAX_STRETCHING_BYTES


COST = Cost()
"""OWASP's first choice for scrypt: 128 MiB and some 0.3 s per guess."""


class _Parts(NamedTuple):
    header: bytes
    cost: Cost
    salt: bytes
    nonce: bytes
    sealed: bytes


def seal(keys: Mapping[str, str], passphrase: str, salt: bytes, nonce: bytes, cost: Cost = COST) -> bytes:
    """The file's bytes. `salt` may stay over several writings; `nonce` must be a new random one each time (SP 800-38D §8.2)."""
    header = _HEADER.pack(MAGIC, VERSION, *cost, salt, nonce)
    body = header + AESGCM(_stretch(passphrase, salt, cost)).encrypt(nonce, orjson.dumps(dict(keys)), header)
    return body + sha256(body).digest()


def unseal(data: bytes, passphrase: str) -> dict[str, str]:
    """The keys by name. Raises DamagedVault, WrongPassphrase."""
    parts = _split(data)
    try:
        content = AESGCM(_stretch(passphrase, parts.salt, parts.cost)).decrypt(parts.nonce, parts.sealed, parts.header)
    except InvalidTag:
        raise WrongPassphrase("is not opened by this passphrase; give the one that it was made with") from None
    return _keys(content)


def salt_of(data: bytes) -> bytes:
    """The salt that a file was made with, which needs no passphrase. Raises DamagedVault where the bytes are not as they were written."""
    return _split(data).salt


def _split(data: bytes) -> _Parts:
    if not data.startswith(MAGIC):
        raise DamagedVault("is no vault of Turnpike's; name another file in vault.file")
    if data[len(MAGIC) : len(MAGIC) + 1] > bytes([VERSION]):
        raise DamagedVault("was made by a newer Turnpike; use that one")
    body, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if len(body) < _HEADER.size + TAG_BYTES or sha256(body).digest() != checksum:
        raise DamagedVault("is damaged: its checksum does not fit; put a copy of it back, or remove it and add the keys again")
    header = body[: _HEADER.size]
    _, _, log2_n, r, p, salt, nonce = _HEADER.unpack(header)
    cost = Cost(log2_n, r, p)
    if not cost.bearable:
        raise DamagedVault("asks for more memory than any vault of Turnpike's; put a copy of it back")
    return _Parts(header, cost, salt, nonce, body[_HEADER.size :])


@lru_cache(2)  # the file is read again at every change of the configuration, on the proxy's event loop
def _stretch(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    secret = normalize("NFC", passphrase).encode(errors="surrogateescape")  # as RFC 8265 has it: one é, however the keyboard makes it
    return Scrypt(salt=salt, length=KEY_BYTES, n=1 << cost.log2_n, r=cost.r, p=cost.p).derive(secret)


def _keys(content: bytes) -> dict[str, str]:
    try:
        keys = orjson.loads(content)
    except orjson.JSONDecodeError:
        keys = None
    if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
        raise DamagedVault("holds something else than names and keys; it was written by another program") from None
    return keys
