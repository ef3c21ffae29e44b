"""Sends files by C-STORE with pynetdicom: each data set as its bytes are, in its own transfer syntax.

Reads a JSON request from standard input: host, port, calledAETitle, callingAETitle, files; tls with the PEM files ca,
key and cert has it speak TLS.
One presentation context for each pair of SOP Class and transfer syntax, 128 at most an association; the SOP Class and
SOP Instance UID of the command are those of the File Meta Information. Prints one JSON line a file, as soon as it is
answered: file, status (null without an answer), errorComment.
"""
import json, ssl, sys

from pynetdicom import AE, _config
from pynetdicom.dsutils import split_dataset

_config.STORE_SEND_CHUNKED_DATASET = True      # the bytes of the file, not a data set read and written again
_config.USE_SHORT_DIMSE_AET = True


def pair_of(file):
    meta, _ = split_dataset(file)
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


def batches(files):
    pairs, batch = set(), []
    for file in files:
        pair = pair_of(file)
        if pair not in pairs and len(pairs) == 128:
            yield pairs, batch
            pairs, batch = set(), []
        pairs.add(pair)
        batch.append(file)
    if batch:
        yield pairs, batch


def send(association, file):
    try:
        answer = association.send_c_store(file)
        status, comment = (answer.Status, answer.get('ErrorComment')) if 'Status' in answer else (None, None)
    except (ValueError, RuntimeError) as error:
        status, comment = None, str(error)
    print(json.dumps({'file': file, 'status': status, 'errorComment': comment}), flush=True)


def tls_args(tls):
    if not tls:
        return None
    context = ssl.create_default_context(cafile=tls['ca'])
    context.load_cert_chain(tls['cert'], tls['key'])
    return (context, 'localhost')


request = json.load(sys.stdin)
for pairs, batch in batches(request['files']):
    ae = AE(ae_title=request.get('callingAETitle', 'PYNETDICOM'))
    ae.dimse_timeout = ae.network_timeout = 60
    for sop_class, transfer_syntax in sorted(pairs):
        ae.add_requested_context(sop_class, transfer_syntax)
    association = ae.associate(request['host'], request['port'], ae_title=request['calledAETitle'], tls_args=tls_args(request.get('tls')))
    if not association.is_established:
        sys.exit(f'the association was not established: {association.acceptor.primitive and association.acceptor.primitive.result}')
    for file in batch:
        send(association, file)
    association.release()
