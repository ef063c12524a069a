"""The page, whole and in the pieces that change, as bytes of HTML."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from jinja2 import DictLoader, Environment, StrictUndefined

from rebootmgr.lockd.http.streams import encode_event
from rebootmgr.lockd.page.words import AT_ONCE, card, in_order, overview
from rebootmgr.lockd.watch import SERVER, Piece

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        *(f"{what}-src 'self'" for what in ("style", "script", "connect", "img")),
        *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
    )
)
STATIC: Final = {
    "/style.css": "text/css; charset=utf-8",
    "/live.js": "text/javascript; charset=utf-8",
    "/icon.svg": "image/svg+xml",
}
_FOLDER: Final = files(__package__)
_TEMPLATES: Final = ("page.html", "server.html", "group.html", "advice.html", "rows.html")


class Page:
    """Renders; everything that is shown is escaped."""

    def __init__(self) -> None:
        texts = {name: (_FOLDER / "templates" / name).read_text("utf-8") for name in _TEMPLATES}
        self._templates = Environment(
            loader=DictLoader(texts),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["at_once"] = AT_ONCE
        self.static = {path: (_FOLDER / path[1:]).read_bytes() for path in STATIC}

    def whole(self, pieces: Sequence[Piece]) -> bytes:
        """Render the page from all pieces, the server first."""
        server, *groups = pieces
        at = datetime.now(UTC)
        shown = in_order(card(group.document, at) for group in groups)
        page = self._templates.get_template("page.html")
        return page.render(server=overview(server.document), groups=shown).encode()

    def piece(self, piece: Piece) -> bytes:
        """Render a piece as an event."""
        if piece.kind == SERVER:
            template = self._templates.get_template("server.html")
            return encode_event(piece.kind, template.render(server=overview(piece.document)))
        template = self._templates.get_template("group.html")
        shown = card(piece.document, datetime.now(UTC))
        return encode_event(piece.kind, template.render(group=shown))
