"""Makes a study on disk out of one of pydicom's own sample files, with UIDs of its own.

Reads a JSON request from standard input: folder, sample (a file name of pydicom's test data), count,
studyInstanceUID, seriesInstanceUID, attributes (keyword: value, put into each data set).
Prints one JSON line a file: file, sopInstanceUID, transferSyntaxUID, dataSetSha256.
"""
import hashlib, json, os, sys

import pydicom
from pydicom.data import get_testdata_file
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import generate_uid

request = json.load(sys.stdin)
os.makedirs(request['folder'], exist_ok=True)
for number in range(request['count']):
    ds = pydicom.dcmread(get_testdata_file(request['sample'], download=False))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(None)
    ds.StudyInstanceUID = request['studyInstanceUID']
    ds.SeriesInstanceUID = request['seriesInstanceUID']
    ds.InstanceNumber = number + 1
    for keyword, value in request.get('attributes', {}).items():
        setattr(ds, keyword, value)
    written = DicomBytesIO()
    dcmwrite(written, ds, enforce_file_format=True)
    raw = written.getvalue()
    path = os.path.join(request['folder'], f'{number:04}.dcm')
    with open(path, 'wb') as file:
        file.write(raw)
    data_set = raw[144 + int.from_bytes(raw[140:144], 'little'):]
    print(json.dumps({'file': path, 'sopInstanceUID': ds.SOPInstanceUID, 'transferSyntaxUID': ds.file_meta.TransferSyntaxUID,
                      'dataSetSha256': hashlib.sha256(data_set).hexdigest()}))
