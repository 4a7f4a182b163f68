"""`python -m training.examples` writes the example clips of the studio again."""

import argparse
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from emoscope.studio.examples import HERE
from emoscope.timeline import RATE
from training.examples.styles import STYLES
from training.examples.voice import speak


def write(file: Path, samples: NDArray[np.float32]) -> None:
    """Write a sound, (N,) at 16 kHz, as FLAC: it loses nothing, and browsers play it."""
    whole = np.round(samples * 2**15).astype(np.int16)[None]
    with av.open(str(file), "w", format="flac", options={"metadata_header_padding": "0"}) as output:
        stream = output.add_stream("flac", rate=RATE, layout="mono", options={"compression_level": "12"})
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate = RATE
        output.mux([*stream.encode(frame), *stream.encode(None)])


def main() -> None:
    """Write a clip for every style."""
    parser = argparse.ArgumentParser(prog="python -m training.examples", description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the clips; the studio's, if not given")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name, style in STYLES.items():
        file = folder / f"{name}.flac"
        samples = speak(style)
        write(file, samples)
        print(f"{file.name:14}{len(samples) / RATE:5.2f} s {file.stat().st_size / 1000:6.1f} kB")


if __name__ == "__main__":
    main()
