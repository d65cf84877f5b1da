"""High dynamic range: what a decoded frame says about it, in the child process.

ffmpeg gives the metadata of HDR10 as C structures, AVMasteringDisplayMetadata and AVContentLightMetadata.
"""

import struct
from typing import Any

from av.sidedata.sidedata import Type

_PQ, _HLG = 16, 18  # transfer characteristics, ITU-T H.273
_PRIMARIES = {
    1: "bt709", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 11: "dci-p3", 12: "display-p3",
}  # fmt: skip
# Ten rational numbers (three primaries, the white point, the least and the most luminance), and two flags.
_MASTERING = struct.Struct("=20i2i")
_LIGHT = struct.Struct("=2I")
_DOLBY_VISION = {Type.DOVI_METADATA, Type.DOVI_RPU_BUFFER}
_DOLBY_VISION_TAGS = {"dvh1", "dvhe", "dva1", "dvav", "dav1"}


def hdr_facts(frame: Any, context: Any) -> dict[str, Any]:
    """Facts of a stream from its first frame, or from its header where no frame can be decoded."""
    source = context if frame is None else frame
    side_data = {} if frame is None else {each.type: bytes(each) for each in frame.side_data}
    return {
        "hdr": {_PQ: "pq", _HLG: "hlg"}.get(int(source.color_trc or 0), ""),
        "color_primaries": _PRIMARIES.get(int(source.color_primaries or 0), ""),
        "is_dolby_vision": context.codec_tag in _DOLBY_VISION_TAGS or not _DOLBY_VISION.isdisjoint(side_data),
        **_mastering_display(side_data.get(Type.MASTERING_DISPLAY_METADATA, b"")),
        **_content_light(side_data.get(Type.CONTENT_LIGHT_LEVEL, b"")),
    }


def _mastering_display(raw: bytes) -> dict[str, Any]:
    if len(raw) != _MASTERING.size:
        return {}
    *_, least, least_unit, most, most_unit, _, has_luminance = _MASTERING.unpack(raw)
    if not (has_luminance and least_unit and most_unit):
        return {}
    return {"mastering_luminance": (least / least_unit, most / most_unit)}


def _content_light(raw: bytes) -> dict[str, Any]:
    if len(raw) != _LIGHT.size:
        return {}
    most, average = _LIGHT.unpack(raw)
    return {"max_content_light": most or None, "max_average_light": average or None}  # 0 means unknown
