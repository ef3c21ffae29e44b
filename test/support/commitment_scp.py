"""A Storage SCP that commits itself to what it took, with pynetdicom, as a mode file says, read again for each request:

same       reports on the association that asked
new        reports on an association of its own, which it opens until it is let in
plain      as new, without SCP/SCU role selection
late       as new, after five seconds
silent     answers 0000H to N-ACTION and never reports
refuse     answers 0213H to N-ACTION
lose       loses the first instance of its first request
conflict   reports the first instance as 0119H

Usage: commitment_scp.py PORT MODE_FILE REPORT_PORT REPORT_AET. Prints one JSON line a request and a report.
"""
import json
import sys
import threading
import time
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

port, mode_file, report_port, report_aet = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
stored, lost = [], []


def tell(**line):
    print(json.dumps(line), flush=True)


def on_store(event):
    stored.append(event.request.AffectedSOPInstanceUID)
    tell(stored=event.request.AffectedSOPInstanceUID)
    return 0x0000


def report_of(request, mode):
    reasons = {}
    first = request.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    if mode == 'lose' and not lost:
        lost.append(first)
        stored.remove(first)
    if mode == 'conflict':
        reasons[first] = 0x0119
    report = Dataset()
    report.TransactionUID = request.TransactionUID
    report.ReferencedSOPSequence, report.FailedSOPSequence = [], []
    for item in request.ReferencedSOPSequence:
        reason = reasons.get(item.ReferencedSOPInstanceUID, 0 if item.ReferencedSOPInstanceUID in stored else 0x0112)
        if reason:
            item.FailureReason = reason
            report.FailedSOPSequence.append(item)
        else:
            report.ReferencedSOPSequence.append(item)
    for name in ('ReferencedSOPSequence', 'FailedSOPSequence'):
        if not report[name].value:
            del report[name]
    return report, 2 if 'FailedSOPSequence' in report else 1


def send(assoc, report, event_type, how):
    status, _ = assoc.send_n_event_report(report, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    tell(reported=report.TransactionUID, how=how, event=event_type, status=status.Status if 'Status' in status else None)
    return 'Status' in status


def report_on_new(report, event_type, roles, delay):
    time.sleep(delay)
    while True:
        ae = AE(ae_title='COMMITSCP')
        ae.add_requested_context(StorageCommitmentPushModel)
        assoc = ae.associate('127.0.0.1', report_port, ae_title=report_aet, ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)] if roles else [])
        if assoc.is_established:
            if not roles:
                # pynetdicom holds itself to the default roles; peers in the field do not.
                for context in assoc.accepted_contexts:
                    context._as_scp = True
            done = send(assoc, report, event_type, 'new')
            assoc.release()
            if done:
                return
        time.sleep(0.5)


def on_action(event):
    request, mode = event.action_information, mode_file.read_text().strip()
    tell(asked=request.TransactionUID, count=len(request.ReferencedSOPSequence), actionTypeID=event.action_type)
    if mode == 'refuse':
        return 0x0213, None
    if mode != 'silent':
        report, event_type = report_of(request, mode)
        if mode == 'same':
            threading.Thread(target=lambda: (time.sleep(0.3), send(event.assoc, report, event_type, 'same')), daemon=True).start()
        else:
            threading.Thread(target=report_on_new, args=(report, event_type, mode != 'plain', 5 if mode == 'late' else 0), daemon=True).start()
    return 0x0000, None


ae = AE(ae_title='COMMITSCP')
ae.supported_contexts = AllStoragePresentationContexts
for context in ae.supported_contexts:
    context.transfer_syntax = ALL_TRANSFER_SYNTAXES
ae.add_supported_context(Verification)
ae.add_supported_context(StorageCommitmentPushModel)
ae.start_server(('127.0.0.1', port), block=True, evt_handlers=[(evt.EVT_C_STORE, on_store), (evt.EVT_N_ACTION, on_action)])
