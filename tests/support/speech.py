"""A sound that models of voice activity take for speech, which a tone is not."""

import math
from array import array

PITCH_HZ = 120
FORMANTS = ((700, 110), (1200, 120), (2600, 160))
"""Frequency and width in Hz of the resonances of an open mouth."""

VOICED_SECONDS = 0.3  # a longer one of the same sound is taken for a noise
SILENT_SECONDS = 0.9
GAIN = 18000


def speech(rate: int) -> bytes:
    """One syllable and the silence after it, as 16-bit samples."""
    pulses = _pulses(int(VOICED_SECONDS * rate), rate)
    sound = [sum(values) for values in zip(*(_resonance(pulses, rate, *each) for each in FORMANTS), strict=True)]
    peak = max(map(abs, sound))
    wave = array("h", (int(GAIN * value / peak) for value in sound))
    wave.extend([0] * int(SILENT_SECONDS * rate))
    return wave.tobytes()


def _pulses(count: int, rate: int) -> list[float]:
    """What vocal cords do: a tone with all its overtones."""
    overtones = range(1, 40)
    angles = (2 * math.pi * PITCH_HZ * at / rate for at in range(count))
    return [sum(math.sin(number * angle) / number for number in overtones) for angle in angles]


def _resonance(samples: list[float], rate: int, hertz: float, width: float) -> list[float]:
    """`samples` as they sound in a tube that prefers one frequency; its peak is 1."""
    radius = math.exp(-math.pi * width / rate)
    turn = 2 * radius * math.cos(2 * math.pi * hertz / rate)
    found, last, before = [], 0.0, 0.0
    for sample in samples:
        last, before = sample + turn * last - radius * radius * before, last
        found.append(last)
    peak = max(map(abs, found))
    return [value / peak for value in found]
