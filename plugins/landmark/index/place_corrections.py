"""What people say of places, as what they would say of pairs of photographs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from landmark.storage.corrections import pair_of
from landmark.storage.database import Database
from landmark.storage.edges import paths_of
from landmark.storage.places import images_of, said_among

Said = Mapping[tuple[str, str], bool]


class Word(NamedTuple):
    """Of two photographs, by path, whether they show one place."""

    one: str
    other: str
    is_same: bool


def said_of_places(database: Database, places: Collection[int]) -> dict[tuple[str, str], bool]:
    """What stands of pairs whose photographs are both of some places, by path."""
    said = said_among(database, images_of(database, places))
    paths = paths_of(database, [image for pair in said for image in pair])
    return {
        pair_of(paths[one], paths[other]): is_same
        for (one, other), is_same in said.items()
        if one in paths and other in paths
    }


def words_to_part(second: Sequence[str], rest: Sequence[str], said: Said) -> list[Word]:
    """To make photographs a place of their own, whatever was said before.

    Places are cut where it costs least. Were the rest not held together by its best connected
    photographs, that would often be around one of them: of many photographs, few false pairs each
    outweigh what one has with its own place.

    Parameters
    ----------
    second : sequence of str
        Paths of these, not empty.
    rest : sequence of str
        Paths of the best connected others, that which stands for them first; not empty.
    said : mapping of (str, str) to bool
        Of `said_of_places`.
    """
    own = set(second)
    words = [Word(second[0], rest[0], False)]
    words += [Word(side[0], path, True) for side in (second, rest) for path in side[1:]]
    for (one, other), is_same in sorted(said.items()):
        if is_same and (one in own) != (other in own):
            words.append(Word(one, other, False))
        elif not is_same and {one, other} <= own:
            words.append(Word(one, other, True))
    return _once(words)


def words_to_join(one: str, other: str, said: Said) -> list[Word]:
    """To make one of two places, by their representatives, whatever was said before."""
    contrary = [Word(*pair, True) for pair, is_same in sorted(said.items()) if not is_same]
    return _once([Word(one, other, True), *contrary])


def _once(words: Sequence[Word]) -> list[Word]:
    return list({pair_of(word.one, word.other): word for word in reversed(words)}.values())[::-1]
