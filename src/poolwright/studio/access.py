"""Access: who may come in. Sessions and tokens are signed with a key that is kept in the run folder.

On a loopback address nobody is asked for a token: who can reach it works on this machine. On any other address
everybody needs one; each annotator has their own, which names them. A token is the name, signed by itsdangerous: none
is stored, so links stay valid when the studio is started again, and a new key makes all of them void.
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

if TYPE_CHECKING:
    from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

FOLDER = "studio"
"""Folder in the run folder that holds the key, and the lock of whoever serves the run."""
OWNER = "owner"
"""Who started the studio: may see gold and agreement, import, and have verdicts asked again."""

SESSION_SECONDS = 30 * 86_400
LONGEST_NAME = 40
_NAME = re.compile(r"[^\W_][\w .'@+-]*")
_DIGEST = hashlib.sha256


@dataclass(frozen=True)
class Session:
    """A browser that was here before.

    Attributes:
        id: random, one a browser.
        name: of the annotator; empty before they said it.
        owner: whether they may do what only the owner may.
    """

    id: str
    name: str = ""
    owner: bool = False


@dataclass(frozen=True)
class Access:
    """Who may come in.

    Attributes:
        key: 32 secret bytes.
        host: the address listened on.
        names: further names that the machine is reached by, such as studio.example.org.
    """

    key: bytes
    host: str = "127.0.0.1"
    names: frozenset[str] = field(default_factory=frozenset)

    @property
    def open(self) -> bool:
        """Whether nobody needs a token."""
        return is_loopback(self.host)

    def knows_host(self, header: str) -> bool:
        """Whether the header Host names this machine.

        A page elsewhere can let its own name point here (DNS rebinding); its name is refused. An address cannot be
        pointed elsewhere, so every address is fine where tokens are needed.
        """
        name = host_name(header)
        if name in self.names or is_loopback(name):
            return True
        return not self.open and _is_address(name)

    def token(self, name: str) -> str:
        """What an annotator enters with."""
        return _text(self._tokens.dumps(name))

    def name_of(self, token: str) -> str | None:
        """Whose token it is; None where it is nobody's."""
        from itsdangerous import BadData

        try:
            name = self._tokens.loads(token.strip())
        except BadData:
            return None
        return name if isinstance(name, str) else None

    def new_session(self, name: str = "", owner: bool = False) -> Session:
        return Session(secrets.token_urlsafe(16), name, owner)

    def cookie(self, session: Session) -> str:
        """The session, signed."""
        return _text(self._sessions.dumps([session.id, session.name, session.owner]))

    def session_of(self, cookie: str) -> Session | None:
        """The session of a cookie; None where it is forged or old."""
        from itsdangerous import BadData

        try:
            id, name, owner = self._sessions.loads(cookie, max_age=SESSION_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        return Session(id, name, owner)

    def csrf(self, session: Session) -> str:
        """What every post of this browser must carry: a page elsewhere cannot know it."""
        from itsdangerous import Signer

        return Signer(self.key, salt="csrf", digest_method=_DIGEST).get_signature(session.id).decode("ascii")

    @property
    def _tokens(self) -> URLSafeSerializer:
        from itsdangerous import URLSafeSerializer

        return URLSafeSerializer(self.key, salt="token", signer_kwargs={"digest_method": _DIGEST})

    @property
    def _sessions(self) -> URLSafeTimedSerializer:
        from itsdangerous import URLSafeTimedSerializer

        # A name said without a token on a loopback address is worth nothing where tokens are needed.
        use = "open session" if self.open else "session"
        return URLSafeTimedSerializer(self.key, salt=use, signer_kwargs={"digest_method": _DIGEST})


def read_key(folder: Path) -> bytes:
    """The key of a run, made where there is none. Only its owner can read the file."""
    path = folder / FOLDER / "key"
    path.parent.mkdir(exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip() or "00")
        if len(key) == 32:
            return key
        raise RecipeError(f"{path} holds no key; remove it, and everybody gets a new token") from None
    key = secrets.token_bytes(32)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def check_name(name: str) -> str:
    """An annotator's name, without space around it.

    Raises:
        RecipeError: it is empty, long or odd.
    """
    plain = " ".join(name.split())
    if not _NAME.fullmatch(plain) or len(plain) > LONGEST_NAME:
        raise RecipeError(
            f"'{plain[:LONGEST_NAME]}' is no name for an annotator; use letters, digits and spaces, "
            f"at most {LONGEST_NAME} characters"
        )
    return plain


def make_access(folder: Path, host: str, names: Iterable[str] = ()) -> Access:
    """Access to a run, with its key."""
    import socket

    own = {socket.gethostname().lower(), socket.getfqdn().lower()} if not is_loopback(host) else set()
    return Access(read_key(folder), host, frozenset({name.lower() for name in names} | own))


def host_name(header: str) -> str:
    """The name in a header Host, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def is_loopback(name: str) -> bool:
    """Whether a name or address is that of this machine to itself."""
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
