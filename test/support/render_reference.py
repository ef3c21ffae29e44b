"""Compares pictures with what pydicom makes of the same pixels.

Reads {"pictures": [{"file", "png", "window"?: [center, width]}]} and prints a line for each: the largest difference of a
grey or colour value (0 to 255), and how many differ by more than one.
"""
import json, sys, warnings

warnings.simplefilter("ignore")
import numpy
import pydicom
from PIL import Image
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def grey(ds, pixels, window):
    values = apply_modality_lut(pixels, ds).astype("float64")
    if window:
        ds.WindowCenter, ds.WindowWidth = window
        ds.VOILUTFunction = "LINEAR"
        ds.pop("VOILUTSequence", None)
    lut = ds.get("VOILUTSequence")
    if lut:
        shown = apply_voi_lut(values.astype("int32"), ds) / (2.0 ** lut[0].LUTDescriptor[2] - 1) * 255
    elif "WindowCenter" in ds:
        edges = apply_voi_lut(numpy.array([-1e9, 1e9]), ds, prefer_lut=False)
        shown = (apply_voi_lut(values, ds, prefer_lut=False) - edges[0]) / (edges[1] - edges[0]) * 255
    else:
        kept = values[pixels != ds.PixelPaddingValue] if "PixelPaddingValue" in ds else values
        span = kept.max() - kept.min()
        shown = (values - kept.min()) * 255 / span if span > 0 else values * 0
    shown = numpy.clip(shown, 0, 255)
    inverted = ds.PhotometricInterpretation == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE"
    return numpy.floor((255 - shown if inverted else shown) + 0.5)


def promote_functional_groups(ds):
    """pydicom looks for rescale and window in the data set alone; an enhanced image has them in its first frame's groups."""
    for groups in (ds.get("SharedFunctionalGroupsSequence"), ds.get("PerFrameFunctionalGroupsSequence")):
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in (groups[0].get(name) or []) if groups else []:
                for element in item:
                    ds[element.tag] = element


def compare(picture):
    ds = pydicom.dcmread(picture["file"])
    promote_functional_groups(ds)
    pixels = ds.pixel_array
    if int(ds.get("NumberOfFrames") or 1) > 1:
        pixels = pixels[0]
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        if not ds.original_encoding[1]:  # pydicom takes the words of a big endian palette as little endian
            for colour in ("Red", "Green", "Blue"):
                name = colour + "PaletteColorLookupTableData"
                setattr(ds, name, numpy.frombuffer(getattr(ds, name), "<u2").byteswap().tobytes())
        bits = ds.RedPaletteColorLookupTableDescriptor[2]
        expected = apply_color_lut(pixels, ds) >> (8 if bits > 8 else 0)
    elif pixels.ndim == 3:
        expected = pixels >> max(0, ds.BitsStored - 8)
    else:
        expected = grey(ds, pixels, picture.get("window"))
    got = numpy.asarray(Image.open(picture["png"])).astype("int64")
    if got.shape != expected.shape:
        return {"shapes": [got.shape, expected.shape]}
    difference = numpy.abs(got - expected.astype("int64"))
    return {"difference": int(difference.max()), "more": int((difference > 1).sum())}


for picture in json.load(sys.stdin)["pictures"]:
    try:
        print(json.dumps(compare(picture)), flush=True)
    except Exception as error:
        print(json.dumps({"failed": repr(error)[:300]}), flush=True)
