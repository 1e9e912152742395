"""Multipart bodies as they come: fields in memory, photos to the inbox, nothing held whole."""

from __future__ import annotations

from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from shenhe.service.inbox import Reception
from shenhe.service.limits import MAX_FIELD, MAX_NAME
from shenhe.service.refusals import RefusedError

FIELDS: Final = ("mission", "group_id", "lane", "callback")
PHOTOS: Final = ("photos", "photos[]", "photo")
"""Names of the parts that hold photos, as various clients write a list of files."""


class SubmissionParser:
    """Reads the body of one submission, chunk by chunk; `fields` has what is no photo.

    Example:
        parser = SubmissionParser(content_type, reception)
        parser.feed(chunk)
        parser.finish()

    """

    def __init__(self, content_type: str, reception: Reception) -> None:
        """Prepare for a body of a type.

        Raises: RefusedError for a type without a usable boundary.
        """
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self.fields: dict[str, str] = {}
        self._reception = reception
        self._headers: dict[str, str] = {}
        self._name, self._value = b"", b""
        self._field, self._text, self._is_whole = "", b"", False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_to_name,
                    "on_header_value": self._add_to_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed(str(error)) from error
        if not boundary:
            raise _malformed("Content-Type has no boundary")

    def feed(self, chunk: bytes) -> None:
        """Read a further chunk.

        Raises: RefusedError for what is malformed or over a limit; RunError where the disk fails.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def finish(self) -> None:
        """End the body.

        Raises: RefusedError where its end is missing.
        """
        if not self._is_whole:
            raise RefusedError(400, "cut_short", "the body ends before its last part does")

    def _begin_part(self) -> None:
        self._headers, self._text = {}, b""

    def _add_to_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[_decode(self._name).lower()] = self._value.decode("latin-1")
        self._name, self._value = b"", b""

    def _end_headers(self) -> None:
        disposition, options = parse_options_header(self._headers.get("content-disposition"))
        name = _decode(options.get(b"name", b""))
        if disposition != b"form-data" or not name:
            raise _malformed("a part without a name")
        if name in PHOTOS:
            self._field = ""
            self._reception.begin_photo(clean_name(_decode(options.get(b"filename", b""))))
        elif name in FIELDS and name not in self.fields:
            self._field = name
        else:
            shown = name[:MAX_NAME]
            problem = f"field {shown!r} stands twice, or is none of {', '.join(FIELDS)}, photos"
            raise RefusedError(400, "unknown_field", problem)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if not self._field:
            self._reception.write(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD:
            problem = f"{self._field}: over the limit of {MAX_FIELD:,} bytes"
            raise RefusedError(413, "field_too_large", problem)

    def _end_part(self) -> None:
        if not self._field:
            self._reception.end_photo()
            return
        self.fields[self._field] = _decode(self._text)

    def _end(self) -> None:
        self._is_whole = True


def clean_name(name: str) -> str:
    r"""Make what a client calls a photo fit to be shown: the last part of a path, in one line.

    >>> clean_name("C:\\photos\\..\\现场 1.jpg"), clean_name("../../etc/passwd\n")
    ('现场 1.jpg', 'passwd')
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable()).strip()[:MAX_NAME]


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(400, "not_utf8", "names and fields are UTF-8") from error


def _malformed(problem: str) -> RefusedError:
    return RefusedError(400, "malformed_body", f"no multipart body that can be read: {problem}")
