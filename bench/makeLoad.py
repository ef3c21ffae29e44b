"""Makes the pieces that bench/load.ts puts instances together from, out of a real file.

    python makeLoad.py CACHE OUT KIND          (a Python that has pydicom)

KIND: ct (512 x 512, 526 KB), mr (256 x 256 with its vendor's private elements, 226 KB), cr8 and cr16 (lengthened by rows of
the same picture to 8 and 16 MB), ect (an enhanced CT of 200 frames, 105 MB), us (ultrasound in RGB, 114 frames, 105 MB), or
ct-N (N frames of the CT as a multi-frame secondary capture).

OUT gets header.bin (the data set up to the length of its Pixel Data, explicit VR little endian, with placeholder UIDs),
pixels.bin (one frame) and load.json.
"""
import copy, io, json, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'infra', 'demo'))
import prepare

from pydicom.filewriter import dcmwrite
from pydicom.uid import (ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
                         UltrasoundMultiFrameImageStorage)

PLACEHOLDERS = {name: '2.25.' + digit * 39 for name, digit in (('study', '1'), ('series', '2'), ('instance', '3'))}
ECT, US = ('pydicom-data', 'data_store/data/eCT_Supplemental.dcm'), ('pydicom-data', 'data_store/data/US1_UNCR.dcm')
MIB = 1 << 20


def source(kind, cache):
    """The data set, its frame and how many frames there are."""
    if kind.startswith('cr'):
        ds = prepare.load(prepare.SOURCES['CR'][0], cache)
        row = ds.Columns * 2
        picture = ds.PixelData[:row * ds.Rows]
        ds.Rows = int(kind[2:]) * MIB // row
        return ds, (picture * (ds.Rows * row // len(picture) + 1))[:ds.Rows * row], 1
    if kind == 'ect':
        return enhanced(prepare.load(ECT, cache), 200)
    if kind == 'us':
        ds = prepare.load(US, cache)
        ds.SOPClassUID, ds.NumberOfFrames = UltrasoundMultiFrameImageStorage, 114
        return ds, ds.PixelData[:ds.Rows * ds.Columns * 3], 114
    ds = prepare.load(prepare.SOURCES['MR' if kind == 'mr' else 'CT'][0], cache)
    frames = int(kind[3:]) if kind.startswith('ct-') else 1
    if frames > 1:
        ds.SOPClassUID, ds.NumberOfFrames = MultiFrameGrayscaleWordSecondaryCaptureImageStorage, frames
    return ds, ds.PixelData[:ds.Rows * ds.Columns * 2], frames


def enhanced(ds, frames):
    groups = list(ds.PerFrameFunctionalGroupsSequence)
    items = []
    for number in range(frames):
        item = copy.deepcopy(groups[number % len(groups)])
        for content in item.get('FrameContentSequence', []):
            content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = '1', number + 1, [1, number + 1]
        items.append(item)
    ds.PerFrameFunctionalGroupsSequence, ds.NumberOfFrames = items, frames
    return ds, ds.PixelData[:ds.Rows * ds.Columns * 2], frames


def main():
    cache, out, kind = sys.argv[1:4]
    for folder in (cache, out):
        os.makedirs(folder, exist_ok=True)
    ds, frame, frames = source(kind, cache)
    ds.PixelData = frame
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = PLACEHOLDERS.values()
    ds.PatientName, ds.PatientID, ds.AccessionNumber = f'Bench^{kind}', f'BENCH-{kind}', kind.upper()
    for element in [e for e in ds if e.tag > 0x7fe00010]:
        del ds[element.tag]
    file = io.BytesIO()
    dcmwrite(file, ds, implicit_vr=False, little_endian=True, force_encoding=True)
    raw = file.getvalue()
    start = 144 + int.from_bytes(raw[140:144], 'little') if raw[128:132] == b'DICM' else 0
    header = bytearray(raw[start:-len(frame)])
    header[-4:] = (frames * len(frame)).to_bytes(4, 'little')
    for name, data in (('header.bin', header), ('pixels.bin', frame)):
        with open(os.path.join(out, name), 'wb') as f:
            f.write(data)
    with open(os.path.join(out, 'load.json'), 'w') as f:
        json.dump({'sopClassUID': str(ds.SOPClassUID), 'transferSyntaxUID': str(ExplicitVRLittleEndian), 'frameCount': frames,
                   'rowBytes': ds.Columns * ds.BitsAllocated // 8 * ds.SamplesPerPixel, 'placeholders': PLACEHOLDERS}, f)


main()
