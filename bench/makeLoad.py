"""Makes the pieces that bench/load.ts puts instances together from, out of a real CT file.

    python makeLoad.py CACHE OUT FRAMES          (a Python that has pydicom)

OUT gets header.bin (the data set up to the length of its Pixel Data, explicit VR little endian, with placeholder UIDs),
pixels.bin (one frame) and load.json. With more than one frame the header is that of a multi-frame instance.
"""
import io, json, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'infra', 'demo'))
import prepare

from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage

PLACEHOLDERS = {name: '2.25.' + digit * 39 for name, digit in (('study', '1'), ('series', '2'), ('instance', '3'))}


def main():
    cache, out, frames = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for folder in (cache, out):
        os.makedirs(folder, exist_ok=True)
    ds = prepare.load(prepare.SOURCES['CT'][0], cache)
    pixels = ds.PixelData
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = PLACEHOLDERS.values()
    ds.PatientName, ds.PatientID, ds.AccessionNumber = 'Bench^CT', 'BENCH-CT', 'BCT'
    if frames > 1:
        ds.SOPClassUID, ds.NumberOfFrames = MultiFrameGrayscaleWordSecondaryCaptureImageStorage, frames
    for element in [e for e in ds if e.tag > 0x7fe00010]:
        del ds[element.tag]
    file = io.BytesIO()
    dcmwrite(file, ds, implicit_vr=False, little_endian=True, force_encoding=True)
    raw = file.getvalue()
    start = 144 + int.from_bytes(raw[140:144], 'little') if raw[128:132] == b'DICM' else 0
    header = bytearray(raw[start:-len(pixels)])
    header[-4:] = (frames * len(pixels)).to_bytes(4, 'little')
    for name, data in (('header.bin', header), ('pixels.bin', pixels)):
        with open(os.path.join(out, name), 'wb') as f:
            f.write(data)
    with open(os.path.join(out, 'load.json'), 'w') as f:
        json.dump({'sopClassUID': str(ds.SOPClassUID), 'transferSyntaxUID': str(ExplicitVRLittleEndian), 'frameCount': frames,
                   'rowBytes': ds.Columns * ds.BitsAllocated // 8, 'placeholders': PLACEHOLDERS}, f)


if __name__ == '__main__':
    main()
