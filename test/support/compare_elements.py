"""Compares the elements of files with those of the same files in another little endian transfer syntax, byte for byte, as pydicom reads them.

Reads {"pairs": [{"original", "transcoded"}]} and prints for each a line with the paths of the elements that are not the same: values that
were not decoded are compared as they lie in the file, whatever VR each file gives them; sequences item by item. Group lengths are left out.
"""
import json, sys, warnings

warnings.simplefilter("ignore")
import pydicom
from pydicom.datadict import dictionary_VR, dictionary_has_tag
from pydicom.sequence import Sequence

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def raw(dataset, tag):
    """The value as it lies in the file, or the items of a sequence."""
    element = dataset.get_item(tag)
    unsaid = element.VR in (None, "UN") and dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
    value = dataset[tag].value if element.VR == "SQ" or unsaid else element.value
    return b"" if value is None else value


def differing(original, transcoded, path=""):
    for tag in sorted(tag for tag in {*original.keys(), *transcoded.keys()} if tag.element != 0):
        here = path + "%08X" % tag
        if tag not in original or tag not in transcoded:
            yield here
            continue
        before, after = raw(original, tag), raw(transcoded, tag)
        if not isinstance(before, bytes) or not isinstance(after, bytes):      # pydicom has decoded it already: a sequence, or what others depend on
            before, after = original[tag].value, transcoded[tag].value
        if isinstance(before, Sequence) and isinstance(after, Sequence) and len(before) == len(after):
            for index, pair in enumerate(zip(before, after)):
                yield from differing(*pair, f"{here}[{index}].")
        elif before != after:
            yield here


for pair in json.load(sys.stdin)["pairs"]:
    try:
        print(json.dumps(list(differing(pydicom.dcmread(pair["original"]), pydicom.dcmread(pair["transcoded"])))), flush=True)
    except Exception as error:
        print(json.dumps(["failed: " + repr(error)[:300]]), flush=True)
