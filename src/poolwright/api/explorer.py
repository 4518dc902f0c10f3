"""Show the studio of a run in a frame of a notebook."""

from __future__ import annotations

import json
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import Self
from urllib.parse import quote

from poolwright.core.errors import PoolwrightError

_OPEN: dict[Path, Explorer] = {}
"""The explorers that are open, by their run folder: they live until they are closed, or the process ends."""

_CLOSING_SECONDS = 20.0


class Explorer:
    """The studio of a run, which a process in the background serves to this machine alone.

    A notebook shows it in a frame. The path of its link is a secret: whoever has it may do what the person who started
    the studio may. The process ends by `close`, at the end of a `with` block, and with this process at the latest.

    Args:
        folder: a run folder, or anything that `poolwright studio` opens.
        table: the table to show first; default the first page.
        height: of the frame, in pixels.

    Attributes:
        url: its link, which also opens in a tab of a browser on this machine.

    Raises:
        PoolwrightError: the studio cannot be started, such as because another process serves the run.
    """

    def __init__(self, folder: str | Path, table: str | None = None, height: int = 800) -> None:
        self.folder, self.height = Path(folder).resolve(), height
        command = [sys.executable, "-m", "poolwright", "--json", "studio", str(self.folder), "--port", "0", "--frame"]
        # In a session of its own: interrupting a cell does not stop it. Its input ends with this process, and it does.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._start = self._link()
        self.url = self._url(table)

    def _link(self) -> str:
        """Return the link that the process prints once it listens."""
        printed = ""
        for line in self._process.stdout or ():
            printed += line
            try:
                return str(json.loads(printed)["links"][0]["url"])
            except ValueError:
                continue
            except (KeyError, IndexError):
                break
        self.close()
        raise PoolwrightError(_error(printed) or "the studio could not be started; see the output of this process")

    def _url(self, table: str | None) -> str:
        return self._start if table is None else f"{self._start}explore/{quote(table, safe='')}"

    @classmethod
    def of(cls, folder: str | Path, table: str | None = None, height: int = 800) -> Explorer:
        """Return the explorer of a folder, which is started if none is open."""
        known = _OPEN.get(Path(folder).resolve())
        if known is None or known.closed:
            _OPEN[Path(folder).resolve()] = known = cls(folder, table, height)
        known.url, known.height = known._url(table), height
        return known

    @property
    def closed(self) -> bool:
        """Whether its process has ended."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Stop the process; verdicts that were given are kept."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<studio of {self.folder}: {'closed' if self.closed else self.url}>"

    def _repr_html_(self) -> str:
        if self.closed:
            return f"<p>The studio of <code>{escape(str(self.folder))}</code> is closed.</p>"
        url = escape(self.url, quote=True)
        return (
            f'<iframe src="{url}" width="100%" height="{self.height}" style="border:1px solid #ccc" '
            'allow="clipboard-write; local-network-access"></iframe>'
            f'<p><a href="{url}" target="_blank">open in a tab</a></p>'
        )


def _error(printed: str) -> str:
    """Return the message of an error that a command printed as JSON; '' if it is none."""
    try:
        return str(json.loads(printed)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
