"""Pictures of a document: each takes as long as the first one, however many there are.

python-docx compares a new picture with all earlier ones and looks through the whole document for a
free number: of 15,000 photos the last ones take a second each.
"""

from __future__ import annotations

import hashlib
from itertools import count

from docx.document import Document
from docx.image.image import Image
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.oxml.shape import CT_Inline
from docx.parts.image import ImagePart
from docx.shared import Length
from docx.text.run import Run


class Pictures:
    """The pictures of a document under way; equal ones are stored once.

    pictures = Pictures(document)
    pictures.add(paragraph.add_run(), jpeg, Mm(80), Mm(60))
    """

    def __init__(self, document: Document) -> None:
        """Begin with a document that has no pictures."""
        self._part = document.part
        self._ids: dict[bytes, str] = {}
        self._numbers = count(1)

    def add(self, run: Run, jpeg: bytes, width: Length, height: Length) -> None:
        """Add a picture to a run of text."""
        digest = hashlib.sha256(jpeg).digest()
        if digest not in self._ids:
            self._ids[digest] = self._store(jpeg)
        number = next(self._numbers)
        inline = CT_Inline.new_pic_inline(
            number, self._ids[digest], f"photo{number}.jpg", width, height
        )
        run._r.add_drawing(inline)

    def _store(self, jpeg: bytes) -> str:
        """Store a picture in the file; give the name by which the text refers to it."""
        number = len(self._ids) + 1
        part = ImagePart.from_image(
            Image.from_blob(jpeg), PackURI(f"/word/media/photo{number}.jpg")
        )
        name = f"rIdPhoto{number}"
        self._part.rels.add_relationship(RELATIONSHIP_TYPE.IMAGE, part, name)
        return name
