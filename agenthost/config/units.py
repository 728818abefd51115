"""Durations, sizes and ratios: how they are written, what they mean, and how a wrong one should have been written."""

import math
import re
from collections.abc import Callable

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
DURATION_PATTERN = rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?"
SIZE_PATTERN = rf"{_NUMBER}(?:B|[KMGT]B|[KMGT]iB)"
RATIO_PATTERN = r"[0-9]{1,3}(?:\.[0-9]{1,6})?%"

_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_SIZE = re.compile(rf"({_NUMBER})(B|[KMGT]B|[KMGT]iB)", re.ASCII)
_RATIO = re.compile(RATIO_PATTERN, re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds of `500ms`, `10s`, `1h30m`; units from large to small, each at most once. Raises ValueError."""
    if not text or not _DURATION.fullmatch(text):
        raise ValueError(f"not a duration: {text!r}")
    parts = re.findall(rf"({_NUMBER})(ms|[smhd])", text)
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """The shortest exact spelling of a number of seconds, down to a millisecond: 5400 → `1h30m`."""
    if math.isinf(seconds):
        return "forever"
    left = round(seconds * 1000)
    text = ""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            text += f"{count}{unit}"
    return text or "0s"


def parse_size(text: str) -> int:
    """Bytes of `512MB` (1000) or `1GiB` (1024). Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    return round(float(match[1]) * _SIZE_UNITS[match[2]])


def format_size(count: int) -> str:
    """The shortest exact spelling of a number of bytes: 1073741824 → `1GiB`."""
    for unit in sorted(_SIZE_UNITS, key=lambda name: -_SIZE_UNITS[name]):
        if count and count % _SIZE_UNITS[unit] == 0:
            return f"{count // _SIZE_UNITS[unit]}{unit}"
    return f"{count}B"


def parse_ratio(value: str | float) -> float:
    """0..1 of `70%` or `0.7`. Raises ValueError; a whole number is refused, for nobody knows which of both it means."""
    if isinstance(value, str):
        if not _RATIO.fullmatch(value):
            raise ValueError(f"not a ratio: {value!r}")
        ratio = float(value[:-1]) / 100
    elif isinstance(value, int):
        raise ValueError(f"not a ratio: {value!r}")
    else:
        ratio = value
    if not 0 <= ratio <= 1:
        raise ValueError(f"not between 0% and 100%: {value!r}")
    return ratio


def has_no_amount(value: object) -> bool:
    """Whether a duration, size or ratio is well written and zero."""
    if not isinstance(value, str):
        return value == 0.0 and isinstance(value, float)
    parsers: tuple[Callable[[str], float], ...] = (parse_duration, parse_size, parse_ratio)
    for parse in parsers:
        try:
            return not parse(value)
        except ValueError:
            continue  # of another kind, or of none
    return False


def suggest_duration(value: object) -> tuple[str, ...]:
    """How the writer probably meant it, the best first: 3600 → `1h`, `3600s`; `10 sec` → `10s`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 10**9:
        exact = format_duration(value)
        plain = f"{value}s"
        return (exact,) if exact == plain else (exact, plain)
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    if match is None:
        return _reordered(value)
    words = {"ms": "ms", "s": "s", "": "s", "m": "m", "h": "h", "d": "d"}
    word = match[2].lower()
    unit = words.get(word) or next((u for name, u in _LONG_UNITS.items() if word.startswith(name)), "")
    meant = f"{match[1]}{unit}"
    return (meant,) if unit and _DURATION.fullmatch(meant) else ()


def _reordered(value: object) -> tuple[str, ...]:
    """`30m1h` → `1h30m`; `1m30` → `1m30s`: a last number without a unit is of the unit below the one before."""
    if not isinstance(value, str) or not re.fullmatch(r"(?:[0-9]{1,9}(?:ms|[smhd]))+[0-9]{0,9}", value, re.ASCII):
        return ()
    parts = re.findall(r"([0-9]+)(ms|[smhd]|$)", value, re.ASCII)
    order = list(reversed(_DURATION_UNITS))
    if not parts[-1][1]:
        below = order.index(parts[-2][1]) + 1
        parts[-1] = (parts[-1][0], order[below] if below < len(order) else "")
    parts.sort(key=lambda part: order.index(part[1]) if part[1] else len(order))
    meant = "".join(map("".join, parts))
    return (meant,) if _DURATION.fullmatch(meant) else ()


_LONG_UNITS = {"milli": "ms", "msec": "ms", "sec": "s", "min": "m", "hour": "h", "hr": "h", "day": "d"}


_FEW_BYTES = 10**6  # no process is so small: whoever writes less counts in megabytes


def suggest_size(value: object) -> tuple[str, ...]:
    """How the writer probably meant it: 1073741824 → `1GiB`; 500 → `500MB`; `512mb` → `512MB`; `1g` → `1GB`, `1GiB`."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
        value = int(value) if len(value) < 18 else value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18:
        if value < _FEW_BYTES:
            return f"{value}MB", f"{value}MiB"
        exact = format_size(value)
        return (exact,) if exact == f"{value}B" else (exact, f"{value}B")
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgtKMGT]?)(i?)[bB]?\s*", str(value))
    if not isinstance(value, str) or match is None:
        return ()
    number, unit, binary = match[1], match[2].upper(), match[3]
    units = ("B",) if not unit else (f"{unit}iB",) if binary else (f"{unit}B", f"{unit}iB")
    return tuple(meant for name in units if _SIZE.fullmatch(meant := f"{number}{name}"))


def suggest_ratio(value: object) -> tuple[str, ...]:
    """How the writer probably meant it: 70 → `70%`; `70 %` → `70%`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 1 <= value <= 100:
        return (f"{value:g}%",)
    match = re.fullmatch(r"\s*([0-9]{1,3}(?:\.[0-9]+)?)\s*%?\s*", value) if isinstance(value, str) else None
    if match is None:
        return ()
    number = float(match[1])
    return (f"{number * 100:g}%",) if number < 1 else (f"{number:g}%",) if number <= 100 else ()
