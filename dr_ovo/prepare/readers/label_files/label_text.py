"""The text of a label file: its encoding, and what to do with spreadsheets and archives."""

from __future__ import annotations

import codecs
from pathlib import Path

from dr_ovo.errors import UserError

_CSV = "open it in a spreadsheet program and save the sheet as CSV UTF-8, then name that file"
_UNPACK = "it is an archive: unpack it, then name the file inside"
ADVICE = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), _CSV),
    **dict.fromkeys((".zip", ".gz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".tgz"), _UNPACK),
}
# The first bytes of files whose suffix says something else.
_SPREADSHEET_IN_ZIP = (b"xl/", b"[Content_Types].xml", b"mimetypeapplication/vnd.oasis")
_MAGIC = {
    b"\xd0\xcf\x11\xe0": _CSV, b"PK\x03\x04": _UNPACK, b"\x1f\x8b": _UNPACK, b"7z\xbc\xaf": _UNPACK,
    b"Rar!": _UNPACK, b"BZh": _UNPACK, b"\xfd7zXZ": _UNPACK,
}  # fmt: skip
# In this order: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),  # "Unicode text" of Excel
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What CSV never begins with: cut at commas, a JSON object would even look like names and grades.
_OTHER_FORMATS = ("{", "[", "<")
_HEAD = 2000  # bytes of a zip file in which its first names are


def refuse_packed(flag: str, path: Path) -> None:
    """Raises UserError for a spreadsheet or an archive, by its name, with what to do."""
    advice = ADVICE.get(path.suffix.lower())
    if advice and not path.is_dir():
        raise UserError(f"{flag} {path}: can't be read as it is; {advice}.")


def read_text(labels: Path) -> str:
    """The text of a label file: UTF-8, or what its byte order mark says.

    Raises UserError for spreadsheets, archives, other encodings, and files that can't be read.
    """
    refuse_packed("--labels", labels)
    try:
        data = labels.read_bytes()
    except OSError as error:
        raise UserError(f"--labels {labels}: can't be read as CSV ({error}).") from None
    for magic, advice in _MAGIC.items():
        if data.startswith(magic):
            sheet = any(word in data[:_HEAD] for word in _SPREADSHEET_IN_ZIP)
            raise UserError(
                f"--labels {labels}: can't be read as CSV; {_CSV if sheet else advice}."
            )
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"--labels {labels}: can't be read as CSV: its text is not {encoding.upper()} (byte "
            f"{error.start}). Save it as 'CSV UTF-8', or convert it: iconv -f LATIN1 -t UTF-8 (or "
            "-f UTF-16)."
        ) from None
    if "\0" in text:
        raise UserError(
            f"--labels {labels}: can't be read as CSV: it has NUL characters, so it is no text, or "
            "its text is not UTF-8. Save it as 'CSV UTF-8'."
        )
    if text.lstrip("\ufeff \r\n\t").startswith(_OTHER_FORMATS):
        raise UserError(
            f"--labels {labels}: can't be read as CSV: it is JSON, HTML or XML. Save it as CSV, a "
            "row per photograph."
        )
    return text
