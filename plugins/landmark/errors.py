"""What can go wrong for a reason that a user can act on."""

from __future__ import annotations

import unicodedata

# Controls, marks that turn the direction of writing, lone surrogates, ends of lines and paragraphs:
# keys and files may hold them, while logs and Postgres shall not.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def in_one_line(text: str) -> str:
    """Text that may hold anything, with each unprintable character written as ``%0A``."""
    if text.isprintable():
        return text
    return "".join(
        "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        if unicodedata.category(character) in _UNPRINTABLE
        else character
        for character in text
    )


class LandmarkError(Exception):
    """A failure whose message is one line: the object, the reason, the remedy.

    Trying again without a change does not help; the DAGs fail such a task at once.
    """

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


class UnusableImage(LandmarkError):
    """An image that cannot give features; it is recorded and the batch goes on."""
