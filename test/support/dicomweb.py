"""Finds, retrieves and stores with dicomweb-client.

Reads a JSON request from standard input: url (DICOMweb root), token, and one of
  compare: {studyInstanceUID, files}   finds the study at three levels, retrieves it as study, series, instances and
                                       metadata, and compares each data set with the file that was sent
  store: {files}                       STOW-RS of the files as their bytes are
  read: {file, wado}                   frames, bulk data and pictures of one image, and WADO-URI at the URL `wado`, compared with
                                       what pydicom reads of the file
Prints one JSON object.
"""
import json, sys

import pydicom
from dicomweb_client import DICOMwebClient, session_utils

request = json.load(sys.stdin)
session = session_utils.create_session()
session.headers['Authorization'] = 'Bearer ' + request['token']
client = DICOMwebClient(url=request['url'], session=session)
ANY = (('application/dicom', '*'),)


def without_paddings(ds):
    """A sender may drop group lengths (PS3.5 7.2) and Data Set Trailing Padding (PS3.10 7.2)."""
    for element in list(ds):
        if (element.tag.element == 0 and element.tag.group > 2) or element.tag == 0xFFFCFFFC:
            del ds[element.tag]
    return ds


def differing(sent, got):
    """SOP Instance UIDs of which not exactly one data set came back, equal in every element; with the tags that differ."""
    wrong = []
    for uid, ds in sent.items():
        found = [without_paddings(each) for each in got if each.SOPInstanceUID == uid]
        if found != [ds]:
            wrong.append(uid + f': {len(found)} found ' + ' '.join(sorted(str(tag) for each in found for tag in {*each.keys(), *ds.keys()}
                                                                        if each.get(tag) != ds.get(tag))))
    return wrong


def differing_metadata(sent, got):
    small = ('PatientName', 'PatientID', 'StudyInstanceUID', 'SeriesInstanceUID', 'Modality', 'Rows', 'Columns', 'InstanceNumber')
    by_uid = {each['00080018']['Value'][0]: pydicom.Dataset.from_json(each, bulk_data_uri_handler=lambda uri: b'') for each in got}
    return [uid for uid, ds in sent.items() if uid not in by_uid or any(by_uid[uid].get(name) != ds.get(name) for name in small)]


def compare(studyInstanceUID, files):
    sent = {ds.SOPInstanceUID: without_paddings(ds) for ds in map(pydicom.dcmread, files)}
    study = studyInstanceUID
    series = [each['0020000E']['Value'][0] for each in client.search_for_series(study)]
    found = client.search_for_instances(study)
    return {
        'studies': [each['0020000D']['Value'][0] for each in client.search_for_studies(search_filters={'StudyInstanceUID': study})],
        'series': series,
        'instances': sorted(each['00080018']['Value'][0] for each in found),
        'differ': {
            'study': differing(sent, client.retrieve_study(study, media_types=ANY)),
            'series': differing(sent, [ds for one in series for ds in client.retrieve_series(study, one, media_types=ANY)]),
            'instances': differing(sent, [client.retrieve_instance(study, each['0020000E']['Value'][0], each['00080018']['Value'][0], media_types=ANY) for each in found]),
            'metadata': differing_metadata(sent, client.retrieve_study_metadata(study)),
        },
    }


def store(files):
    raw = [open(file, 'rb').read() for file in files]
    answer = client._http_post_multipart_application_dicom(client.base_url + '/studies', raw)
    return {'stored': [item.ReferencedSOPInstanceUID for item in answer.get('ReferencedSOPSequence', [])],
            'failed': [item.FailureReason for item in answer.get('FailedSOPSequence', [])]}


def read(file, wado):
    ds = pydicom.dcmread(file)
    names = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    pixels = ds.pixel_array.astype(ds.pixel_array.dtype.newbyteorder('<')).tobytes()
    (metadata,) = [client.retrieve_instance_metadata(*names)]
    # dicomweb-client sends Host without the port, so the URLs of the answer lack it too.
    uri = client.base_url + metadata['7FE00010']['BulkDataURI'].split('/dicom-web')[1]
    png = client.retrieve_instance_rendered(*names, media_types=('image/png',))
    jpeg = client.retrieve_instance_frames_rendered(*names, frame_numbers=[1], media_types=('image/jpeg',))
    dicom = session.get(wado, params={'requestType': 'WADO', 'studyUID': names[0], 'seriesUID': names[1], 'objectUID': names[2], 'contentType': 'application/dicom'})
    return {
        'frames': [frame == pixels for frame in client.retrieve_instance_frames(*names, frame_numbers=[1], media_types=('application/octet-stream',))],
        'bulk': [value == pixels for value in client.retrieve_bulkdata(uri)],
        'octets': [value == pixels for value in client.retrieve_bulkdata(uri, media_types=('application/octet-stream',))],
        'last of all': client.retrieve_bulkdata(uri.rsplit('/', 1)[0], media_types=('application/octet-stream',))[-1] == pixels,
        'png': png[:8].hex(),
        'jpeg': (jpeg[0] if isinstance(jpeg, list) else jpeg)[:3].hex(),
        'wado': pydicom.dcmread(pydicom.filebase.DicomBytesIO(dicom.content)).pixel_array.tobytes() == pixels,
    }


commands = {'compare': compare, 'store': store, 'read': read}
print(json.dumps(next(run(**request[name]) for name, run in commands.items() if name in request)))
