"""Control access to the studio. Sessions and tokens are signed with a key that is stored in the run folder.

On a loopback address no token is needed: only users of this machine can reach it. On any other address everybody needs
one; each annotator has their own, which names them. A token is the name, signed by itsdangerous: none is stored, so
links stay valid when the studio is restarted, and a new key invalidates all of them.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from poolwright.core.errors import RecipeError
from poolwright.core.files import make_folder, sync_folder

if TYPE_CHECKING:
    from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

FOLDER = "studio"
"""Folder in the run folder that holds the key, and the lock of the process that serves the run."""
OWNER = "owner"
"""Name of the person who started the studio, who may see gold and agreement, import, and set verdicts aside."""

SESSION_SECONDS = 30 * 86_400
LONGEST_NAME = 40
_NAME = re.compile(r"[^\W_][\w .'@+-]*")
_DIGEST = hashlib.sha256


@dataclass(frozen=True)
class Session:
    """The session of one browser.

    Attributes:
        id: random, one per browser.
        name: of the annotator; empty before they entered it.
        owner: whether the browser has the rights of the owner.
    """

    id: str
    name: str = ""
    owner: bool = False


@dataclass(frozen=True)
class Access:
    """The access rules of a served run.

    Attributes:
        key: 32 secret bytes.
        host: the address listened on.
        names: further host names of this machine, such as studio.example.org.
    """

    key: bytes
    host: str = "127.0.0.1"
    names: frozenset[str] = field(default_factory=frozenset)

    @property
    def open(self) -> bool:
        """Whether no token is needed."""
        return is_loopback(self.host)

    def knows_host(self, header: str) -> bool:
        """Whether the header Host names this machine.

        A page of another site can make its own name resolve to this machine (DNS rebinding); such a name is refused.
        An address cannot be rebound, so every address is accepted if tokens are needed.
        """
        name = host_name(header)
        if name in self.names or is_loopback(name):
            return True
        return not self.open and _is_address(name)

    def token(self, name: str) -> str:
        """Return the token of an annotator."""
        return _text(self._tokens.dumps(name))

    def name_of(self, token: str) -> str | None:
        """Return the name that a token belongs to, or None if it is not valid."""
        from itsdangerous import BadData

        try:
            name = self._tokens.loads(token.strip())
        except BadData:
            return None
        return name if isinstance(name, str) else None

    def new_session(self, name: str = "", owner: bool = False) -> Session:
        """Return a session with a random id."""
        return Session(secrets.token_urlsafe(16), name, owner)

    def cookie(self, session: Session) -> str:
        """Return the session as a signed cookie value."""
        return _text(self._sessions.dumps([session.id, session.name, session.owner]))

    def session_of(self, cookie: str) -> Session | None:
        """Return the session of a cookie, or None if it is forged or expired."""
        from itsdangerous import BadData

        try:
            id, name, owner = self._sessions.loads(cookie, max_age=SESSION_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        return Session(id, name, owner)

    def csrf(self, session: Session) -> str:
        """Return the token that every POST of this browser must carry; other sites cannot know it."""
        from itsdangerous import Signer

        return Signer(self.key, salt="csrf", digest_method=_DIGEST).get_signature(session.id).decode("ascii")

    @property
    def _tokens(self) -> URLSafeSerializer:
        from itsdangerous import URLSafeSerializer

        return URLSafeSerializer(self.key, salt="token", signer_kwargs={"digest_method": _DIGEST})

    @property
    def _sessions(self) -> URLSafeTimedSerializer:
        from itsdangerous import URLSafeTimedSerializer

        # A name entered without a token on a loopback address must not count if tokens are needed.
        use = "open session" if self.open else "session"
        return URLSafeTimedSerializer(self.key, salt=use, signer_kwargs={"digest_method": _DIGEST})


def read_key(folder: Path) -> bytes:
    """Read the key of a run, or create it. Only the owner of the file can read it."""
    path = folder / FOLDER / "key"
    make_folder(path.parent)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip() or "00")
        if len(key) == 32:
            return key
        raise RecipeError(
            f"{path} holds no valid key; remove it to create a new one, which invalidates all tokens"
        ) from None
    key = secrets.token_bytes(32)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return key


def check_name(name: str) -> str:
    """Return an annotator's name with normalized white space.

    Raises:
        RecipeError: it is empty, too long, or has invalid characters.
    """
    plain = " ".join(name.split())
    if not _NAME.fullmatch(plain) or len(plain) > LONGEST_NAME:
        raise RecipeError(
            f"'{plain[:LONGEST_NAME]}' is not a valid name for an annotator; use letters, digits and spaces, "
            f"at most {LONGEST_NAME} characters"
        )
    return plain


def names_in(text: str) -> list[str]:
    """Return the names in a list with commas, each once; see `check_name`."""
    return list(dict.fromkeys(check_name(name) for name in text.split(",") if name.strip()))


def make_access(folder: Path, host: str, names: Iterable[str] = ()) -> Access:
    """Return the access rules of a run, with its key."""
    import socket

    own = {socket.gethostname().lower(), socket.getfqdn().lower()} if not is_loopback(host) else set()
    return Access(read_key(folder), host, frozenset({name.lower() for name in names} | own))


def host_name(header: str) -> str:
    """Return the name in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def is_loopback(name: str) -> bool:
    """Whether a name or address is a loopback one."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _text(signed: str | bytes) -> str:
    return signed.decode("ascii") if isinstance(signed, bytes) else signed
