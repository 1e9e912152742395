"""Passwords: which are good enough, and their hashes by argon2id."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from threading import BoundedSemaphore
from typing import Final, Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_PASSWORD: Final = 10
"""Length of the shortest password. Units: characters."""
MAX_PASSWORD: Final = 1000
"""Length of the longest password. Units: characters."""
Weakness = Literal["short", "long", "plain"]
AT_ONCE: Final = 2
"""How many hashes are computed at once: each takes 64 MiB, and whoever likes may start them."""


class Passwords:
    """Hashing of passwords; the time of a check tells nothing of whether there is a hash at all.

    Example:
        passwords = Passwords()
        passwords.accept(passwords.hash("correct horse"), "correct horse")  # True

    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """Hash with argon2id as its library recommends it, or by another hasher."""
        self._hasher = hasher or PasswordHasher()
        self._slots = BoundedSemaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        """Hash a password with a new salt."""
        with self._slots:
            return self._hasher.hash(normalize(password))

    def accept(self, stored: str | None, password: str) -> bool:
        """Whether a password has this hash; without one as much is computed, for False."""
        if len(password) > MAX_PASSWORD:
            return False
        if stored is None:
            self.hash(password)
            return False
        with self._slots:
            try:
                return self._hasher.verify(stored, normalize(password))
            except (VerificationError, InvalidHashError):
                return False

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(stored)


def normalize(password: str) -> bytes:
    """Give the bytes of a password: two keyboards may write one letter in two ways."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def find_weakness(password: str, name: str) -> Weakness | None:
    """Name what is wrong with a new password; None for a good one.

    >>> find_weakness("1234567", "李工"), find_weakness("correct horse", "李工")
    ('short', None)
    """
    if len(password) < MIN_PASSWORD:
        return "short"
    if len(password) > MAX_PASSWORD:
        return "long"
    is_plain = len(set(password)) < 4 or password.casefold().strip() == name.casefold()
    return "plain" if is_plain else None


def new_secret() -> str:
    """Draw a secret of 256 bits that may stand in an address or a cookie."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Give what is stored of a random secret: whoever reads the database cannot use it.

    >>> digest("a")[:8]
    'ca978112'
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
