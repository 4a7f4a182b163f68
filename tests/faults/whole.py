"""Whether what a server has left is whole: folders complete, each with its row, and no row without a folder."""

import json
import zipfile

from emoscope.claims import HIDDEN
from emoscope.history import History


def problems(outputs, address="", *, running=False):
    """Name everything that is half; nothing when all is well. A server that runs may have hidden folders."""
    found, folders = [], {}
    for place in sorted(outputs.iterdir()):
        if HIDDEN.fullmatch(place.name):
            found += [] if running else [f"{place.name} is left half-written"]
        elif place.is_dir():
            folders[place.name] = _report(place, found)
    history = History(outputs, address)
    rows = {run.folder and run.folder.name: run.id for run in history.all()}
    history.close()
    found += [f"row {rows[name]} has no folder {name}" for name in sorted(rows.keys() - folders.keys(), key=str)]
    found += [f"folder {name} has no row" for name in sorted(folders.keys() - rows.keys())]
    found += [
        f"{name} is run {folders[name]}, its row {id}" for name, id in rows.items() if folders.get(name, id) != id
    ]
    return found


def _report(folder, found):
    """Hold a folder to its ZIP, which is written last and has all of its files; return the id of its run."""
    try:
        with zipfile.ZipFile(folder / f"{folder.name}.zip") as pack:
            packed = {each.filename: pack.read(each) for each in pack.infolist()}  # checks every sum
        there = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".zip"}
        if there != packed:
            found.append(f"{folder.name} is not what its ZIP holds")
        return json.loads(there["result.json"])["id"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        found.append(f"{folder.name} is not whole: {error!r}")
        return None
