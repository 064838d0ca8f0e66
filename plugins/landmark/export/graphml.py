"""The match graph as GraphML: photographs as nodes, pairs that agree as edges; written as a stream.

http://graphml.graphdrawing.org/primer/graphml-primer.html
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from landmark.errors import LandmarkError
from landmark.export.files import written_whole
from landmark.progress import Progress
from landmark.storage.database import Database
from landmark.storage.edges import stream_edges, stream_nodes
from landmark.storage.models import count_all_images

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
# What no XML may have (https://www.w3.org/TR/xml, section 2.2), and no key of S3 either should.
NO_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Keys, what they are of, and their type.
KEYS = {
    "path": ("node", "string"),
    "place": ("node", "long"),
    "name": ("node", "string"),
    "inliers": ("edge", "int"),
    "putative": ("edge", "int"),
}


def export_graphml(database: Database, model: str, file: Path) -> None:
    """Write a model's match graph as it is at one time.

    Raises
    ------
    LandmarkError
        If the model has no images, or the file is there already or cannot be written.
    """
    images = count_all_images(database, model)
    if not images:
        raise LandmarkError(f"{model}: the table has no image of it; see `landmark models list`")
    with (
        written_whole(file) as unfinished,
        unfinished.open("wb") as out,
        database.at_one_time() as frozen,
    ):
        _write(frozen, model, out, Progress(images, "photographs written"))


def _write(database: Database, model: str, out: BinaryIO, progress: Progress) -> None:
    xml = XMLGenerator(out, "utf-8", short_empty_elements=True)
    xml.startDocument()
    _begin(xml, "graphml", {"xmlns": NAMESPACE})
    for key, (of, kind) in KEYS.items():
        _begin(xml, "key", {"id": key, "for": of, "attr.name": key, "attr.type": kind})
        xml.endElement("key")
    _begin(xml, "graph", {"edgedefault": "undirected"})
    for node in stream_nodes(database, model):
        _begin(xml, "node", {"id": str(node.id)})
        _data(xml, path=node.image_path, place=node.place, name=node.name)
        xml.endElement("node")
        progress.add()
    for edge in stream_edges(database, model):
        _begin(xml, "edge", {"source": str(edge.first), "target": str(edge.second)})
        _data(xml, inliers=edge.inliers, putative=edge.putative)
        xml.endElement("edge")
    xml.endElement("graph")
    xml.endElement("graphml")
    xml.endDocument()


def _begin(xml: XMLGenerator, name: str, attributes: dict[str, str]) -> None:
    xml.startElement(name, AttributesImpl(attributes))


def _data(xml: XMLGenerator, **values: str | int | None) -> None:
    for key, value in values.items():
        if value is not None:
            _begin(xml, "data", {"key": key})
            xml.characters(NO_CHARACTERS.sub("\ufffd", str(value)))
            xml.endElement("data")
