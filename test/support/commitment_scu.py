"""Asks for storage commitment with pynetdicom, and takes the report.

Reads a JSON request from standard input: host, port, calledAETitle, callingAETitle, transactionUID, references (pairs of SOP Class and SOP Instance UID),
waitSeconds, listen (a port of ours where reports are taken; absent: on the association that asks), transferSyntaxes, answer (status of the report), actionTypeID,
stayOpen (keep the association that asks open while the report is awaited elsewhere). With transactionUID null it only listens.
Prints one JSON line for N-ACTION-RSP, and one for each report.
"""
import json, sys, threading, time

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

request = json.load(sys.stdin)
arrived = threading.Event()


def on_report(event):
    information = event.event_information
    role = event.assoc.requestor.role_selection.get(StorageCommitmentPushModel)
    print(json.dumps({
        'event': event.event_type, 'transferSyntaxUID': event.context.transfer_syntax, 'calledAETitle': event.assoc.requestor.ae_title,
        'roles': [role.scu_role, role.scp_role] if role else None, 'onListener': event.assoc.is_acceptor,
        'sopInstanceUID': event.request.AffectedSOPInstanceUID, 'transactionUID': information.TransactionUID,
        'committed': [[item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID] for item in information.get('ReferencedSOPSequence', [])],
        'failed': [[item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID, item.FailureReason] for item in information.get('FailedSOPSequence', [])],
    }), flush=True)
    arrived.set()
    return request.get('answer', 0x0000), None


handlers = [(evt.EVT_N_EVENT_REPORT, on_report)]
ae = AE(ae_title=request['callingAETitle'])
ae.dimse_timeout = ae.network_timeout = 120
syntaxes = request.get('transferSyntaxes') or [ImplicitVRLittleEndian, ExplicitVRLittleEndian]
ae.add_requested_context(StorageCommitmentPushModel, syntaxes)
if 'listen' in request:
    ae.add_supported_context(StorageCommitmentPushModel, syntaxes, scu_role=False, scp_role=True)
    ae.add_supported_context(Verification)
    ae.start_server(('127.0.0.1', request['listen']), block=False, evt_handlers=handlers)
assoc = None
if request.get('transactionUID'):
    assoc = ae.associate(request['host'], request['port'], ae_title=request['calledAETitle'], evt_handlers=handlers)
    if not assoc.is_established:
        print(json.dumps({'rejected': True}))
        sys.exit(0)
    information = Dataset()
    information.TransactionUID = request['transactionUID']
    information.ReferencedSOPSequence = []
    for sop_class, sop_instance in request['references']:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        information.ReferencedSOPSequence.append(item)
    status, _ = assoc.send_n_action(information, request.get('actionTypeID', 1), StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    print(json.dumps({'status': status.Status if status else None, 'comment': status.get('ErrorComment') if status else None}), flush=True)
    if 'listen' in request and not request.get('stayOpen'):
        assoc.release()
arrived.wait(request.get('waitSeconds', 60))
time.sleep(0.5)
if assoc and assoc.is_established:
    assoc.release()
ae.shutdown()
