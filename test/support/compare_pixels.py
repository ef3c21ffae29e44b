"""Compares files with what they became in another transfer syntax, as pydicom and pylibjpeg see them.

Reads {"pairs": [{"original", "transcoded"}]} and prints a line for each: whether both decode to the same samples, the
largest difference, and the elements that are not the same any more.
"""
import json, sys, warnings

warnings.simplefilter("ignore")
import numpy
import pydicom

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def changed(original, transcoded):
    tags = {element.tag for element in original} | {element.tag for element in transcoded}
    big = not original.original_encoding[1]

    def value(dataset, tag):
        words = big and dataset is original and dataset[tag].VR == "OW"
        return numpy.frombuffer(dataset[tag].value, "<u2").byteswap().tobytes() if words else dataset[tag].value

    def same(tag):
        return tag in original and tag in transcoded and original[tag].VR == transcoded[tag].VR and value(original, tag) == value(transcoded, tag)

    return sorted("%08X" % tag for tag in tags if tag.element != 0 and not same(tag))


def compare(pair):
    original, transcoded = pydicom.dcmread(pair["original"]), pydicom.dcmread(pair["transcoded"])
    row = {"syntax": transcoded.file_meta.TransferSyntaxUID, "photometric": transcoded.get("PhotometricInterpretation")}
    for dataset in (original, transcoded):
        dataset.walk(lambda _, element: None)
    row["changed"] = changed(original, transcoded)
    try:
        before = original.pixel_array.astype("int64")
    except Exception as error:
        return {**row, "undecodable": str(error)[:200]}
    after = transcoded.pixel_array.astype("int64")
    if before.shape != after.shape:
        return {**row, "shapes": [before.shape, after.shape]}
    return {**row, "difference": int(numpy.abs(before - after).max())}


for pair in json.load(sys.stdin)["pairs"]:
    try:
        print(json.dumps(compare(pair)), flush=True)
    except Exception as error:
        print(json.dumps({"failed": repr(error)[:300]}), flush=True)
