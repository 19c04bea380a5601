"""The mark that says a picture was made by a trained model: IPTC DigitalSourceType, as XMP.

EU law (AI Act, Art. 50) and Google's Merchant Center ask for it in the file itself.
Vocabulary: http://cv.iptc.org/newscodes/digitalsourcetype/
"""

from __future__ import annotations

from typing import Literal, get_args

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from atelier.images.decode import MAX_BYTES, MAX_PIXELS
from atelier.images.opening import FORMATS, opened

SourceType = Literal["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"]
"""Wholly made by a model; or made by a model from parts of photographs, as a try-on is."""

SOURCE_TYPES: tuple[SourceType, ...] = get_args(SourceType)

XMP_CHUNK = "XML:com.adobe.xmp"
"""The iTXt keyword that PNG keeps XMP under."""

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{iptc}">'
    "<Iptc4xmpExt:DigitalSourceType>{vocabulary}{source_type}</Iptc4xmpExt:DigitalSourceType>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="r"?>'
)


def xmp_packet(source_type: SourceType) -> str:
    """The XMP packet that marks a file with a source type."""
    return _PACKET.format(iptc=_IPTC, vocabulary=_VOCABULARY, source_type=source_type)


def read_source_type(data: bytes) -> str | None:
    """The last part of a file's DigitalSourceType, such as `trainedAlgorithmicMedia`; `None` if it carries none.

    Raises:
        RowError: the file is no picture, as `decode_picture` says.
    """
    with opened(data, what="picture", formats=FORMATS, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES) as image:
        image.load()  # PNG may carry it behind the pixels
        packet = image.info.get("xmp") or image.info.get(XMP_CHUNK)
    if not packet:
        return None
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    try:
        root = ElementTree.fromstring(text[text.find("<x:xmpmeta") :].partition("<?xpacket")[0].rstrip("\0 \n"))
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return None
    name = f"{{{_IPTC}}}DigitalSourceType"
    for element in root.iter():
        value = element.attrib.get(name) or (element.text if element.tag == name else None)
        if value:
            return value.strip().removeprefix(_VOCABULARY)
    return None
