"""What can go wrong for a reason that a user can act on."""

from __future__ import annotations


def in_one_line(text: str) -> str:
    """Text that may hold anything, such as a key, with what is not printable as ``%0A``.

    Controls, ends of lines, marks that turn the direction of writing: they would forge lines of a
    log. NUL and lone surrogates: Postgres does not take them.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
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


class ServerFault(Exception):
    """An answer of a server that may pass: one line with the object and the reason.

    The DAGs try such a task again; nothing is concluded from it of an image or of the index.
    """

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))
