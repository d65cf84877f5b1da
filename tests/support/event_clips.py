"""Clips with events that are known to the frame: cuts, black, frozen and silent stretches."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from .troubled_clips import X264, ffmpeg

Spans = list[tuple[float, float]]

_SIZE = "320x180"
_NOISE = "noise=alls=8:allf=t"


@dataclass(frozen=True)
class Planted:
    """In frames. A span ends with the first frame after it."""

    cuts: tuple[int, ...] = ()
    black: tuple[tuple[int, int], ...] = ()
    frozen: tuple[tuple[int, int], ...] = ()
    length: int = 0

    def times(self, what: str, rate: Fraction, begin: float = 0.0) -> Spans:
        return [(begin + float(first / rate), begin + float(last / rate)) for first, last in getattr(self, what)]


@dataclass(frozen=True)
class EventClip:
    graph: str  # of lavfi, for the picture; {rate} is its rate
    planted: Planted


def _black(frames: int) -> str:
    return f"color=black:s={_SIZE}:r={{rate}},trim=end_frame={frames}"


def _scene(frames: int, source: str = f"testsrc2=s={_SIZE}", *filters: str) -> str:
    return ",".join([f"{source}:r={{rate}}", *filters, _NOISE, f"trim=end_frame={frames}"])


def _joined(*parts: str) -> str:
    names = [f"[p{number}]" for number in range(len(parts))]
    chains = [f"{part},format=yuv420p,setsar=1{name}" for part, name in zip(parts, names, strict=True)]
    return f"{';'.join(chains)};{''.join(names)}concat=n={len(parts)}"


def _frozen(frames: int, scene: str) -> str:
    return f"{scene},tpad=stop={frames}:stop_mode=clone"


_SOURCE = f"testsrc2=s={_SIZE}"
_BARS, _WIDE = f"smptehdbars=s={_SIZE}", "testsrc2=s=480x270"
_PANORAMA = "testsrc2=s=2000x180"
_FLASH = "eq=brightness=0.4:enable='between(t,1,{end})'"

EVENT_CLIPS = {
    # Black at both ends, a freeze in the middle, cuts.
    "all": EventClip(
        _joined(_black(25), _frozen(75, _scene(50)), _scene(50, _SOURCE, "negate"), _black(25)),
        Planted((25, 150, 200), ((0, 25), (200, 225)), ((74, 150),), 225),
    ),
    "similar": EventClip(
        _joined(_scene(50, _WIDE, "crop=320:180:0:0"), _scene(50, _WIDE, "crop=320:180:40:20")),
        Planted((50,), length=100),
    ),
    "dissolve": EventClip(
        f"{_scene(75)},settb=AVTB[one];{_scene(75, _BARS)},settb=AVTB[other];"
        "[one][other]xfade=duration=1:offset=1.5",
        Planted(length=112),
    ),
    "flash": EventClip(f"{_scene(75)},{_FLASH.format(end=1.0)}", Planted(length=75)),
    "long-flash": EventClip(f"{_scene(75)},{_FLASH.format(end=1.16)}", Planted(length=75)),
    "fast-camera": EventClip(_scene(75, _PANORAMA, "crop=320:180:n*22:0"), Planted(length=75)),
    "cut-in-motion": EventClip(
        _joined(*(_scene(50, _PANORAMA, "crop=320:180:n*6:0", *change) for change in ([], ["negate"]))),
        Planted((50,), length=100),
    ),
    "fades": EventClip(
        _joined(f"{_scene(75)},fade=out:50:25", _black(25), f"{_scene(50, _BARS)},fade=in:0:25"),
        Planted(black=((75, 101),), length=150),
    ),
    "logo": EventClip(
        f"{_joined(_scene(50), _black(50), _scene(25))},drawbox=x=280:y=10:w=30:h=25:color=white:t=fill",
        Planted((50, 100), ((50, 100),), ((50, 100),), length=125),
    ),
    "dim": EventClip(f"{_scene(75)},lutyuv=y='16+(val-16)*0.15'", Planted(length=75)),
    "freeze-first": EventClip(
        f"{_scene(25)},tpad=start=75:start_mode=clone", Planted(frozen=((0, 76),), length=100)
    ),
    "freeze-last": EventClip(_frozen(75, _scene(25)), Planted(frozen=((24, 100),), length=100)),
    "noisy-freeze": EventClip(
        _joined(_frozen(75, f"{_scene(50)},noise=alls=40:allf=t"), f"{_scene(50)},noise=alls=40:allf=t"),
        Planted(frozen=((49, 125),), length=175),
    ),
    # A picture on which nothing moves but the noise of the camera.
    "still": EventClip(f"{_scene(100, _BARS)}", Planted(length=100)),
}  # fmt: skip


def event_clip(name: str, path: Path, *options: str, rate: str = "25", encoder: str = X264) -> Planted:
    """Make one of them."""
    clip = EVENT_CLIPS[name]
    ffmpeg("-f", "lavfi", "-i", clip.graph.format(rate=rate), *encoder.split(), *options, str(path))
    return clip.planted
