"""Asks a Query/Retrieve SCP with pynetdicom.

Reads a JSON request from standard input: host, port, calledAETitle, callingAETitle, operation (find, get, move), model (SOP Class UID),
identifier (DICOM JSON Model), and as wanted: charset (Python codec of the identifier's text), extension (bytes of extended negotiation),
cancelAfter (responses), destination, storage (SOP Class UID: transfer syntaxes, for get), roles (scu, scp), storeStatus, priority, window (asynchronous operations invoked, performed).
Prints one JSON line a response: status, identifier, remaining, completed, failed, warning, comment; for get one line an instance before.
"""
import hashlib, json, sys

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation, SOPClassExtendedNegotiation

request = json.load(sys.stdin)
ae = AE(ae_title=request['callingAETitle'])
ae.dimse_timeout = ae.network_timeout = 60
model = request['model']
ae.add_requested_context(model, request.get('transferSyntaxes') or [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
negotiation = []
for uid, syntaxes in request.get('storage', {}).items():
    ae.add_requested_context(uid, syntaxes)
    scu, scp = request.get('roles', [False, True])
    if scu or scp:
        negotiation.append(build_role(uid, scu_role=scu, scp_role=scp))
if 'extension' in request:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = model
    item.service_class_application_information = bytes(request['extension'])
    negotiation.append(item)
if 'window' in request:
    item = AsynchronousOperationsWindowNegotiation()
    item.maximum_number_operations_invoked, item.maximum_number_operations_performed = request['window']
    negotiation.append(item)


def on_store(event):
    written = event.encoded_dataset(False)
    print(json.dumps({'stored': event.request.AffectedSOPInstanceUID, 'transferSyntaxUID': event.context.transfer_syntax,
                      'dataSetSha256': hashlib.sha256(written).hexdigest(), 'lengthBytes': len(written)}), flush=True)
    return request.get('storeStatus', 0)


assoc = ae.associate(request['host'], request['port'], ae_title=request['calledAETitle'], ext_neg=negotiation,
                     evt_handlers=[(evt.EVT_C_STORE, on_store)])
if not assoc.is_established:
    print(json.dumps({'rejected': True}))
    sys.exit(0)
answered = [item for item in assoc.acceptor.user_information if isinstance(item, SOPClassExtendedNegotiation)]
windows = [[item.maximum_number_operations_invoked, item.maximum_number_operations_performed]
           for item in assoc.acceptor.user_information if isinstance(item, AsynchronousOperationsWindowNegotiation)]
print(json.dumps({'window': windows[0] if windows else None, 'contexts': {context.abstract_syntax: str(context.transfer_syntax[0]) for context in assoc.accepted_contexts},
                  'extension': list(answered[0].service_class_application_information) if answered else None}))
identifier = Dataset.from_json(json.dumps(request['identifier']))
send = {'find': lambda: assoc.send_c_find(identifier, model, msg_id=7, priority=request.get('priority', 2)),
        'get': lambda: assoc.send_c_get(identifier, model, msg_id=7, priority=request.get('priority', 2)),
        'move': lambda: assoc.send_c_move(identifier, request['destination'], model, msg_id=7, priority=request.get('priority', 2))}
count = 0
for status, answer in send[request['operation']]():
    count += 1
    value = lambda keyword: int(status[keyword].value) if keyword in status else None
    print(json.dumps({'status': status.Status if status else None, 'comment': status.get('ErrorComment') if status else None,
                      'identifier': json.loads(answer.to_json()) if answer else None,
                      'remaining': status.get('NumberOfRemainingSuboperations'), 'completed': status.get('NumberOfCompletedSuboperations'),
                      'failed': status.get('NumberOfFailedSuboperations'), 'warning': status.get('NumberOfWarningSuboperations')}), flush=True)
    if count == request.get('cancelAfter'):
        assoc.send_c_cancel(7, query_model=model)
assoc.release()
